// Builds dist/ and LICENSE. npm runs it before it packs the package, and when it installs the package from a clone.
// In a clone, npm does not install the development dependencies, so this does.
import { execSync } from "node:child_process";
import { cpSync, existsSync } from "node:fs";

const run = (command) => execSync(command, { stdio: "inherit" });
if (!existsSync("node_modules/typescript")) {
  run("npm ci --prefix . --include=dev --ignore-scripts --no-audit --no-fund");
}
run("node node_modules/typescript/bin/tsc");
cpSync("../../gen/typescript", "dist", { recursive: true });
cpSync("../../LICENSE", "LICENSE");
