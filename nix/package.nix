# The metricstor package: the add-on by cargo, the JavaScript by tsc, run by Node.js.
{
  lib,
  stdenv,
  stdenvNoCC,
  cacert,
  cargo,
  makeWrapper,
  nodejs,
  rustc,
  rustPlatform,
}:

let
  version = "0.1.0";

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../.ci
      ../LICENSE
      ../native
      ../package.json
      ../package-lock.json
      ../proto
      ../src
      ../tsconfig.json
    ];
  };

  # package-lock.json names no registry, so the packages are fetched by npm itself into one
  # fixed-output derivation. `.ci/npm-hash.mjs` writes these hashes when the lock has changed.
  npmLockHash = "9451de7656ebba0235ae94c55612e48981e58e82170a0509513773bf3ca0ea30";
  npmHashes = {
    x86_64-linux = "sha256-Z8Pil7wDAJZY4+s00O32j0sgOzLo2AwkW6QzzRbzk2c=";
    aarch64-linux = "sha256-nI3B6wQjiV7kgvpl+NpywhBfoMNAisFntC15ROjTBKU=";
  };
  npmCpu = {
    x86_64-linux = "x64";
    aarch64-linux = "arm64";
  };
  system = stdenv.hostPlatform.system;

  nodeModules = stdenvNoCC.mkDerivation {
    pname = "metricstor-node-modules";
    inherit version src;
    nativeBuildInputs = [
      cacert
      nodejs
    ];
    buildPhase = ''
      export HOME=$TMPDIR
      npm install --no-save --ignore-scripts --no-audit --no-fund --os=linux --cpu=${npmCpu.${system}} --libc=glibc
      rm node_modules/.package-lock.json
    '';
    installPhase = "mv node_modules $out";
    dontFixup = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = npmHashes.${system};
  };
in
stdenv.mkDerivation {
  pname = "metricstor";
  inherit version src;

  cargoRoot = "native";
  cargoDeps = rustPlatform.importCargoLock { lockFile = ../native/Cargo.lock; };

  nativeBuildInputs = [
    cargo
    makeWrapper
    nodejs
    rustc
    rustPlatform.cargoSetupHook
  ];

  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR
    cp -r ${nodeModules} node_modules
    chmod -R u+w node_modules
    patchShebangs node_modules
    node .ci/build.mjs --no-install
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    npm prune --omit=dev --offline --ignore-scripts
    mkdir -p $out/lib/metricstor/native/binding $out/bin
    cp -r dist node_modules package.json proto LICENSE $out/lib/metricstor/
    cp native/binding/*.node $out/lib/metricstor/native/binding/
    makeWrapper ${lib.getExe nodejs} $out/bin/metricstor \
      --add-flags $out/lib/metricstor/dist/bin.js
    runHook postInstall
  '';

  passthru = {
    inherit nodeModules npmLockHash;
  };

  meta = {
    description = "Push-based, Prometheus-compatible metrics database with mutual TLS";
    license = lib.licenses.asl20;
    mainProgram = "metricstor";
    platforms = lib.attrNames npmHashes;
  };
}
