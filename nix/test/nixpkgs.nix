# As much of nixpkgs as metricstor's Nix files touch, written for their tests: Debian's nix can
# evaluate against it without network, daemon or store.
let
  inherit (builtins)
    all
    attrNames
    concatMap
    concatStringsSep
    filter
    head
    isAttrs
    isBool
    isInt
    isList
    isString
    listToAttrs
    map
    match
    substring
    toJSON
    ;

  type = name: check: { inherit name check; };

  lib = rec {
    types = rec {
      bool = type "bool" isBool;
      str = type "str" isString;
      path = type "path" (value: builtins.isPath value || (isString value && substring 0 1 value == "/"));
      port = type "port" (value: isInt value && value >= 0 && value <= 65535);
      ints.positive = type "positive integer" (value: isInt value && value > 0);
      package = type "package" (value: isAttrs value && value ? outPath);
      attrs = type "attrs" isAttrs;
      listOf = item: type "list of ${item.name}" (value: isList value && all item.check value);
      nullOr = inner: type "null or ${inner.name}" (value: value == null || inner.check value);
    };

    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      description:
      mkOption {
        type = types.bool;
        default = false;
        inherit description;
      };
    mkIf = condition: content: if condition then content else { };
    literalExpression = text: text;

    elem = builtins.elem;
    inherit attrNames concatMap;
    optional = condition: value: if condition then [ value ] else [ ];
    optionalAttrs = condition: value: if condition then value else { };
    genAttrs =
      names: f:
      listToAttrs (
        map (name: {
          inherit name;
          value = f name;
        }) names
      );
    filterAttrs =
      keep: set:
      listToAttrs (
        map (name: {
          inherit name;
          value = set.${name};
        }) (filter (name: keep name set.${name}) (attrNames set))
      );
    recursiveUpdate =
      left: right:
      if isAttrs left && isAttrs right then
        left
        // listToAttrs (
          map (name: {
            inherit name;
            value = if left ? ${name} then recursiveUpdate left.${name} right.${name} else right.${name};
          }) (attrNames right)
        )
      else
        right;
    toInt = text: builtins.fromJSON (head (match "0*([0-9]+)" text));
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    licenses.asl20 = "Apache-2.0";

    fileset = {
      unions =
        files:
        map (file: if builtins.pathExists file then file else throw "no such file: ${toString file}") files;
      toSource = { root, fileset }: builtins.seq (builtins.length (map toString fileset)) (toString root);
    };

    # Values of every option below `declared`: what `given` says, else the default, type-checked.
    optionValues =
      path: declared: given:
      let
        unknown = filter (name: !(declared ? ${name})) (attrNames given);
        valueOf =
          name:
          let
            option = declared.${name};
            here = "${path}.${name}";
            value = given.${name} or option.default;
          in
          if (option._type or "") != "option" then
            optionValues here option (given.${name} or { })
          else if option.type.check value then
            value
          else
            throw "${here} is not a ${option.type.name}: ${toJSON value}";
      in
      if unknown == [ ] then
        listToAttrs (
          map (name: {
            inherit name;
            value = valueOf name;
          }) (attrNames declared)
        )
      else
        throw "unknown options under ${path}: ${concatStringsSep ", " unknown}";

    # The `config` that a service module defines on a host whose own configuration is `host`.
    evalService =
      {
        module,
        service,
        host,
        pkgs,
      }:
      let
        declared = (module { inherit lib pkgs; config = { }; }).options.services.${service};
        config = host // {
          services = host.services // {
            ${service} = optionValues "services.${service}" declared (host.services.${service} or { });
          };
        };
      in
      (module { inherit lib pkgs config; }).config;
  };

  derivation = attrs: attrs // (attrs.passthru or { }) // {
    type = "derivation";
    outPath = "/nix/store/stub-${attrs.pname}";
  };

  pkgsFor =
    system:
    let
      tool = name: derivation { pname = name; meta.mainProgram = name; };
      pkgs =
        {
          inherit lib;
          stdenv = {
            hostPlatform.system = system;
            mkDerivation = derivation;
          };
          stdenvNoCC.mkDerivation = derivation;
          nodejs = derivation {
            pname = "nodejs";
            meta.mainProgram = "node";
          };
          rustPlatform = {
            cargoSetupHook = tool "cargo-setup-hook";
            importCargoLock =
              { lockFile }: if builtins.pathExists lockFile then "cargo-deps" else throw "no Cargo.lock";
          };
          formats.yaml = _: {
            type = lib.types.attrs;
            # JSON is YAML; the tests read it back from the command line.
            generate = name: value: "${name}:${toJSON value}";
          };
          mkShell = derivation' : derivation { pname = "shell"; } // derivation';
          callPackage =
            file: extra:
            let
              function = import file;
            in
            function (builtins.intersectAttrs (builtins.functionArgs function) pkgs // extra);
        }
        // lib.genAttrs [
          "cacert"
          "cargo"
          "clippy"
          "makeWrapper"
          "metricstor"
          "openssl"
          "rustc"
          "rustfmt"
        ] tool;
    in
    pkgs;
in
{
  inherit lib pkgsFor;
  legacyPackages = lib.genAttrs [
    "x86_64-linux"
    "aarch64-linux"
  ] pkgsFor;
}
