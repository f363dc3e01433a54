use sample::{report, Report};

#[test]
fn a_report_survives_json() {
    let before = report("1 INFO a\n");
    let text = serde_json::to_string(&before).unwrap();
    let after: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(before, after);
}
