# typed: strict
# frozen_string_literal: true

# Made by `deno task release` of version @version@.
class CicdToolkit < Formula
  desc "@summary@"
  homepage "@homepage@"
@stated_version@  license "MIT"

@downloads@
  def install
    libexec.install "bin", "lib", "deploy", "LICENSE"
    bin.install_symlink libexec/"bin/cicd-runner", libexec/"bin/cicd-agent"
    generate_completions_from_executable(bin/"cicd-runner", "completion")
    (man1/"cicd-runner.1").write Utils.safe_popen_read(bin/"cicd-runner", "manual")
  end

  def caveats
    if OS.mac?
      <<~EOS
        Without systemd, jobs are processes of the runner: their limits are not enforced, except
        for the time limit, and a restart of the service ends them.
      EOS
    else
      <<~EOS
        With systemd, do not use `brew services`: units of your own start the runner on demand,
        enforce the limits of jobs, and let them run on while the runner restarts:
          cicd-runner install --prefix #{opt_libexec}
      EOS
    end
  end

  service do
    run [opt_bin/"cicd-runner", "daemon"]
    keep_alive true
    environment_variables PATH: std_service_path_env, CICD_IDLE_EXIT: "0"
    log_path var/"log/cicd-runner.log"
    error_log_path var/"log/cicd-runner.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/cicd-runner version")
  end
end
