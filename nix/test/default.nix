# What metricstor's Nix files evaluate to; test/e2e/nix.test.ts looks at the answers.
let
  nixpkgs = import ./nixpkgs.nix;
  pkgs = nixpkgs.pkgsFor "x86_64-linux";

  service =
    host:
    nixpkgs.lib.evalService {
      module = import ../module.nix;
      service = "metricstor";
      inherit pkgs;
      host = {
        services = host;
      };
    };

  # Messages of the assertions that fail, and the unit.
  summary =
    host:
    let
      config = service host;
    in
    {
      failed = map (one: one.message) (builtins.filter (one: !one.assertion) (config.assertions or [ ]));
      unit = config.systemd.services.metricstor.serviceConfig or null;
      users = builtins.attrNames (config.users.users or { });
      groups = builtins.attrNames (config.users.groups or { });
      tmpfiles = config.systemd.tmpfiles.rules or [ ];
    };

  flake = (import ../../flake.nix).outputs {
    self = flake;
    inherit nixpkgs;
  };

  package = flake.packages.x86_64-linux.default;
in
{
  disabled = summary { };
  defaults = summary { metricstor.enable = true; };
  everything = summary {
    metricstor = {
      enable = true;
      httpPort = 9190;
      grpcPort = 9191;
      dataDir = "/srv/metrics";
      retentionDays = 400;
      tls = {
        cert = "/etc/metricstor/server.crt";
        key = "/etc/metricstor/server.key";
        clientCa = "/etc/metricstor/ca.crt";
        allowedNames = [ "agent" ];
      };
      settings = {
        wal.sync = "1s";
        http.addr = "0.0.0.0:9190";
      };
    };
  };
  prometheusScrapesGrpcPort = summary {
    metricstor.enable = true;
    prometheus.scrapeConfigs = [
      {
        job_name = "services";
        static_configs = [ { targets = [ "localhost:9091" "127.0.0.1:9092" ]; } ];
      }
    ];
  };
  vmagentScrapesHttpPort = summary {
    metricstor.enable = true;
    vmagent.prometheusConfig.scrape_configs = [
      { static_configs = [ { targets = [ "127.0.0.1:9090" ]; } ]; }
    ];
  };
  listedPort = summary {
    metricstor = {
      enable = true;
      scrapedPorts = [ 9091 ];
    };
  };
  otherHost = summary {
    metricstor.enable = true;
    prometheus.scrapeConfigs = [ { static_configs = [ { targets = [ "db.example.org:9091" ]; } ]; } ];
  };
  halfTls = summary {
    metricstor = {
      enable = true;
      tls.cert = "/etc/metricstor/server.crt";
    };
  };
  badPort = builtins.tryEval (
    builtins.deepSeq (summary {
      metricstor = {
        enable = true;
        httpPort = 70000;
      };
    }) true
  );
  package = {
    inherit (package) pname version meta;
    build = package.buildPhase;
    nodeModulesHash = package.nodeModules.outputHash;
    hashesAreOfThisLock = package.npmLockHash == builtins.hashFile "sha256" ../../package-lock.json;
  };
  outputs = builtins.mapAttrs (_: output: builtins.attrNames output) {
    inherit (flake) packages devShells;
    inherit (flake) nixosModules overlays;
  };
}
