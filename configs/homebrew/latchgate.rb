# For a tap: Formula/latchgate.rb. It builds from source, as `make install` does;
# set url and sha256 to a release's.
class Latchgate < Formula
  desc "HTTP forward proxy that holds credentials so that agents don't"
  homepage "https://github.com/latchgate/latchgate"
  head "https://github.com/latchgate/latchgate.git", branch: "main"

  depends_on "go" => :build
  depends_on "sops" => :recommended # for KMS and PGP; age needs no program

  def install
    ENV["CGO_ENABLED"] = "0"
    system "go", "build", "-trimpath", *std_go_args(ldflags: "-s -w -X main.version=#{version}"), "./cmd/latchgate"
    generate_completions_from_executable(bin/"latchgate", "completion")
    system bin/"latchgate", "man", man1
    pkgshare.install "configs/latchgate.example.toml"
  end

  def caveats
    <<~EOS
      `brew services start latchgate` reads #{etc}/latchgate/latchgate.toml, which is yours to make:
        mkdir -p #{etc}/latchgate
        cp #{opt_pkgshare}/latchgate.example.toml #{etc}/latchgate/latchgate.toml
        latchgate secrets init --config #{etc}/latchgate/latchgate.toml
    EOS
  end

  service do
    run [opt_bin/"latchgate", "proxy", "--config", etc/"latchgate/latchgate.toml"]
    keep_alive true
    working_dir var/"latchgate"
    environment_variables GODEBUG: "clobberfree=1"
    log_path var/"log/latchgate.log"
    error_log_path var/"log/latchgate.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/latchgate version")
    (testpath/"action.yaml").write <<~YAML
      action_id: probe
      egress: {profile: proxy_allowlist, allowed_domains: [api.example.com]}
    YAML
    system bin/"latchgate", "actions", "validate", testpath/"action.yaml"
  end
end
