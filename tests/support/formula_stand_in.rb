# frozen_string_literal: true

# Evaluates a formula with a stand-in of what it uses of Homebrew, and prints what it says as JSON:
# ruby formula_stand_in.rb FORMULA

require "json"
require "pathname"

# The paths of an installation, and what was done with them.
class StandInPath
  attr_reader :path

  def initialize(path)
    @path = path
  end

  def /(other)
    StandInPath.new("#{@path}/#{other}")
  end

  def to_s
    @path
  end

  def install(*names)
    Formula.done << ["install", @path, *names]
  end

  def install_symlink(*sources)
    Formula.done << ["install_symlink", @path, *sources.map(&:to_s)]
  end

  def write(text)
    Formula.done << ["write", @path, text]
  end
end

# What a formula calls in `service`.
class StandInService
  attr_reader :facts

  def initialize(formula)
    @formula = formula
    @facts = {}
  end

  def opt_bin = @formula.opt_bin
  def var = @formula.var
  def std_service_path_env = "/opt/bin:/usr/bin:/bin"

  def run(command) = @facts[:run] = command.map(&:to_s)
  def keep_alive(value) = @facts[:keep_alive] = value
  def environment_variables(values) = @facts[:environment] = values
  def log_path(path) = @facts[:log] = path.to_s
  def error_log_path(path) = @facts[:error_log] = path.to_s
end

module Utils
  def self.safe_popen_read(*command) = "output of #{command.map(&:to_s).join(" ")}"
end

class Formula
  @facts = {}
  @done = []
  @downloads = []
  @where = []
  class << self
    attr_accessor :facts, :done, :downloads, :where, :service_block, :test_block, :formula

    def inherited(formula)
      super
      Formula.formula = formula
    end

    %i[desc homepage version license].each do |name|
      define_method(name) do |value = nil|
        value.nil? ? Formula.facts[name] : Formula.facts[name] = value
      end
    end

    %i[on_macos on_linux on_arm on_intel].each do |name|
      define_method(name) do |&block|
        Formula.where.push(name)
        block.call
        Formula.where.pop
      end
    end

    def url(value) = Formula.downloads << { where: Formula.where.dup, url: value }
    def sha256(value) = Formula.downloads.last[:sha256] = value
    def service(&block) = Formula.service_block = block
    def test(&block) = Formula.test_block = block
  end

  %i[prefix libexec bin man1 opt_bin opt_libexec var].each do |name|
    define_method(name) { StandInPath.new("/#{name}") }
  end

  def version = Formula.facts[:version]
  def generate_completions_from_executable(*command) =
    Formula.done << ["completions", *command.map(&:to_s)]

end

module OS
  class << self
    attr_writer :mac

    def mac? = @mac
  end
end

load ARGV.fetch(0)
formula = Formula.formula.new
formula.install
caveats = [true, false].map do |mac|
  OS.mac = mac
  formula.caveats
end
service = StandInService.new(formula)
service.instance_exec(&Formula.service_block)
puts JSON.generate(
  name: Formula.formula.name,
  **Formula.facts,
  downloads: Formula.downloads,
  done: Formula.done,
  caveats: caveats,
  service: service.facts,
  test: !Formula.test_block.nil?,
)
