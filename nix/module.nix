# The NixOS module: services.metricstor.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.metricstor;
  inherit (lib) mkOption types;

  defaultDataDir = "/var/lib/metricstor";

  # The configuration file: what the options say, with `settings` on top.
  settings = lib.recursiveUpdate {
    http.addr = "127.0.0.1:${toString cfg.httpPort}";
    grpc.addr = "127.0.0.1:${toString cfg.grpcPort}";
    dataDir = cfg.dataDir;
    retention.days = cfg.retentionDays;
    tls = lib.filterAttrs (_: value: value != null && value != [ ]) cfg.tls;
  } cfg.settings;
  configFile = (pkgs.formats.yaml { }).generate "metricstor.yml" settings;

  # Ports of this host that agents configured beside metricstor scrape.
  localPort =
    target:
    let
      parts = builtins.match "(localhost|127\\.[0-9.]+|0\\.0\\.0\\.0|\\[::1?])(:([0-9]+))" target;
    in
    if parts == null then [ ] else [ (lib.toInt (builtins.elemAt parts 2)) ];
  targetsOf =
    scrapeConfigs:
    lib.concatMap (
      scrape: lib.concatMap (static: static.targets or [ ]) (scrape.static_configs or [ ])
    ) scrapeConfigs;
  scrapedPorts =
    cfg.scrapedPorts
    ++ lib.concatMap localPort (
      targetsOf (config.services.prometheus.scrapeConfigs or [ ])
      ++ targetsOf (config.services.vmagent.prometheusConfig.scrape_configs or [ ])
    );

  notScraped = option: port: {
    assertion = !(lib.elem port scrapedPorts);
    message = ''
      services.metricstor.${option} is ${toString port}, which is also the port of a service that is
      scraped on this host: the two cannot both listen there. Give metricstor another port, for
      instance services.metricstor.${option} = ${toString (port + 10000)};
    '';
  };
in
{
  options.services.metricstor = {
    enable = lib.mkEnableOption "metricstor, a push-based, Prometheus-compatible metrics database";

    package = mkOption {
      type = types.package;
      default = pkgs.metricstor;
      defaultText = lib.literalExpression "pkgs.metricstor";
      description = "The metricstor package to run.";
    };

    httpPort = mkOption {
      type = types.port;
      default = 9090;
      description = "Port of the HTTP (or HTTPS) API on 127.0.0.1; `settings.http.addr` overrides it.";
    };

    grpcPort = mkOption {
      type = types.port;
      default = 9091;
      description = "Port of the gRPC API on 127.0.0.1; `settings.grpc.addr` overrides it.";
    };

    dataDir = mkOption {
      type = types.path;
      default = defaultDataDir;
      description = "The data directory, owned by the user metricstor.";
    };

    retentionDays = mkOption {
      type = types.ints.positive;
      default = 15;
      description = "Days that samples are kept.";
    };

    tls = {
      cert = mkOption {
        type = types.nullOr types.path;
        default = null;
        description = "Certificate chain (PEM). With `key` it turns TLS on. Read again on change.";
      };
      key = mkOption {
        type = types.nullOr types.path;
        default = null;
        description = "Private key (PEM), readable by the user metricstor; never put it in the store.";
      };
      clientCa = mkOption {
        type = types.nullOr types.path;
        default = null;
        description = "CA certificates (PEM) that client certificates must be signed by: mutual TLS.";
      };
      allowedNames = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "agent.example.org" ];
        description = "Names of which a client certificate must have one. Empty: any valid one.";
      };
    };

    scrapedPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      example = [ 9100 ];
      description = ''
        Ports of services on this host that some agent scrapes. Those in `services.prometheus` and
        `services.vmagent` are known already. metricstor refuses to take one of them.
      '';
    };

    settings = mkOption {
      type = (pkgs.formats.yaml { }).type;
      default = { };
      example = {
        wal.sync = "1s";
        query.timeout = "30s";
      };
      description = "Further keys of the configuration file; they win over the options above.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      (notScraped "httpPort" cfg.httpPort)
      (notScraped "grpcPort" cfg.grpcPort)
      {
        assertion = cfg.httpPort != cfg.grpcPort;
        message = "services.metricstor.httpPort and services.metricstor.grpcPort must differ.";
      }
      {
        assertion = (cfg.tls.cert == null) == (cfg.tls.key == null);
        message = "services.metricstor.tls.cert and services.metricstor.tls.key belong together.";
      }
      {
        assertion = cfg.tls.clientCa == null || cfg.tls.cert != null;
        message = "services.metricstor.tls.clientCa needs services.metricstor.tls.cert and key.";
      }
    ];

    users.users.metricstor = {
      isSystemUser = true;
      group = "metricstor";
      description = "metricstor";
    };
    users.groups.metricstor = { };

    systemd.tmpfiles.rules = lib.optional (
      cfg.dataDir != defaultDataDir
    ) "d ${cfg.dataDir} 0750 metricstor metricstor - -";

    systemd.services.metricstor = {
      description = "metricstor, a metrics database";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/metricstor serve --config ${configFile}";
        User = "metricstor";
        Group = "metricstor";
        Restart = "on-failure";
        RestartSec = 2;
        # metricstor bounds its own shutdown (shutdownTimeout, 30 s); this is the longer one.
        TimeoutStopSec = 60;
        LimitNOFILE = 65536;
        UMask = "0027";

        ReadWritePaths = lib.optional (cfg.dataDir != defaultDataDir) cfg.dataDir;
        CapabilityBoundingSet = "";
        LockPersonality = true;
        # V8 compiles at run time.
        MemoryDenyWriteExecute = false;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      }
      // lib.optionalAttrs (cfg.dataDir == defaultDataDir) {
        StateDirectory = "metricstor";
        StateDirectoryMode = "0750";
      };
    };
  };
}
