use std::{fs, path::PathBuf};

use clap::Parser;

/// Prints the levels of a log as JSON.
#[derive(Parser)]
struct Options {
    /// The log.
    path: PathBuf,
    /// Writes one line.
    #[arg(long)]
    compact: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let report = sample::report(&fs::read_to_string(options.path)?);
    let text = if options.compact {
        serde_json::to_string(&report)?
    } else {
        serde_json::to_string_pretty(&report)?
    };
    println!("{text}");
    Ok(())
}
