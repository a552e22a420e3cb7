{
  description = "metricstor: a push-based, Prometheus-compatible metrics database with mutual TLS";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = nixpkgs.lib.genAttrs systems;
    in
    {
      packages = forEach (system: rec {
        metricstor = nixpkgs.legacyPackages.${system}.callPackage ./nix/package.nix { };
        default = metricstor;
      });

      overlays.default = final: _previous: {
        metricstor = final.callPackage ./nix/package.nix { };
      };

      nixosModules.default = {
        imports = [ ./nix/module.nix ];
        nixpkgs.overlays = [ self.overlays.default ];
      };

      devShells = forEach (
        system: with nixpkgs.legacyPackages.${system}; {
          default = mkShell {
            packages = [
              nodejs
              cargo
              rustc
              clippy
              rustfmt
              openssl
            ];
          };
        }
      );
    };
}
