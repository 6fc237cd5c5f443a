// Proves the gates: plants one breach after another in a copy of openapi.yaml and expects the rule that is for it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, test } from "node:test";

const contract = readFileSync("openapi.yaml", "utf8");
const folder = mkdtempSync(join(tmpdir(), "gates-"));
after(() => rmSync(folder, { recursive: true }));

// replace changes the first place where text stands, and wants there to be one.
function replace(text, replacement, document = contract) {
  assert.ok(document.includes(text), `openapi.yaml has no ${JSON.stringify(text)}`);
  return document.replace(text, () => replacement);
}

// By the rule that has to find it, and where it reaches several places, by the place.
const redocly = {
  "struct": replace("title: Authentication API", "titel: Authentication API"),
  "no-unresolved-refs": replace("schemas/Welcome\"", "schemas/Welcomed\""),
  "no-unused-components": replace("  schemas:\n", "  schemas:\n    Unused: {type: string, example: none}\n"),
  "security-defined": replace("      security: []\n", ""),
  "operation-operationId": replace("      operationId: login\n", ""),
  "operation-operationId-unique": replace("operationId: login", "operationId: logout"),
  "operation-summary": replace("      summary: User login\n", ""),
  "operation-description": replace("      description: >-\n        Opens a session", "      x-note: >-\n        Opens a session"),
  "operation-tag-defined": replace("tags: [Keys]", "tags: [Locks]"),
  "tag-description": replace("    description: Register, and come back", "    x-note: Register, and come back"),
  "parameter-description": replace("          description: The token of the mailed link\n", ""),
  "no-schema-type-mismatch": replace("      type: object\n      description: An account", "      type: string\n      description: An account"),
  "no-invalid-media-type-examples": replace("expiresIn: 900\n", "expiresIn: 900\n                undocumented: 1\n"),
  "no-invalid-schema-examples": replace("lower case\n          example: ada@example.com", "lower case\n          example: ada"),
  "no-invalid-parameter-examples": replace("          example: 3q2", "          example: \"\" # 3q2"),
  "scalar-property-missing-example": replace("          example: Welcome, Ada Lovelace\n", ""),
};
const problem = "            application/problem+json:\n              schema:\n                $ref: \"#/components/schemas/Problem\"";
const spectral = {
  "oas3-valid-media-example": replace("example: 2\n", "example: 0\n"),
  "operation-id-camel-case": replace("operationId: refreshTokens", "operationId: refresh_tokens"),
  "operation-one-tag none": replace("      tags: [Sessions]\n", ""),
  "operation-one-tag empty": replace("tags: [Sessions]", "tags: []"),
  "operation-one-tag two": replace("tags: [Sessions]", "tags: [Sessions, Keys]"),
  "status-listed": replace("        \"503\":", "        default:"),
  "error-is-problem other": replace(problem, problem.replace("problem+json", "json")),
  "error-is-problem both": replace(problem, `${problem.replace("problem+json", "json")}\n${problem}`),
  "error-is-problem empty": replace("$ref: \"#/components/responses/InternalError\"", "description: A fault of the server"),
  "problem-is-error": replace("            application/json:\n              schema:\n                $ref: \"#/components/schemas/Welcome\"", problem),
  "problem-schema": replace(problem, problem.replace("Problem\"", "Fault\"")),
  "schema-name": contract.replaceAll("Confirmation", "LogoutRESPONSE"),
  "schema-named body": replace("$ref: \"#/components/schemas/LoginInput\"", "{type: object}"),
  "schema-named answer": replace("$ref: \"#/components/schemas/Tokens\"", "{type: object}"),
  "schema-named parameter": replace("$ref: \"#/components/schemas/OneTimeToken\"", "type: string"),
  "schema-named header": replace("$ref: \"#/components/schemas/Seconds\"", "type: integer"),
  "property-named enum": replace("$ref: \"#/components/schemas/KeyUse\"", "{type: string, enum: [sig]}"),
  "property-named object": replace("          $ref: \"#/components/schemas/User\"", "          {type: object, description: A user, example: {}}"),
  "property-named fields": replace("          $ref: \"#/components/schemas/User\"", "          {description: A user, properties: {}}"),
  "property-named items": replace("            $ref: \"#/components/schemas/JWK\"", "            type: object"),
  "property-described property": replace("          description: A greeting, for people\n", ""),
  "property-described header": replace("      description: Seconds to wait", "      x-note: Seconds to wait"),
  "example media type": replace("              example:\n                message: Logout successful\n", ""),
  "example schema": replace("      description: An opaque token that works once\n      example: 3q2", "      description: An opaque token that works once\n      x-note: 3q2"),
  "example array": replace("          items:\n            $ref: \"#/components/schemas/JWK\"\n          example:", "          items:\n            $ref: \"#/components/schemas/JWK\"\n          x-note:"),
  "example parameter": replace("          example: 3q2", "          x-note: 3q2"),
  "example header": replace("      example: 2\n", ""),
};

// plant writes each breach to a file that is called by it.
function plant(breaches) {
  return Object.entries(breaches).map(([breach, document]) => {
    assert.notEqual(document, contract, breach);
    const file = join(folder, `${breach.replaceAll(" ", "-")}.yaml`);
    writeFileSync(file, document);
    return file;
  });
}

// run answers what a linter prints on standard output, and wants it to fail.
function run(linter, ...args) {
  const ran = spawnSync(`internal/tools/openapi/node_modules/.bin/${linter}`, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  assert.equal(ran.status, 1, ran.stderr);
  return ran.stdout;
}

function expectEach(breaches, found) {
  const missed = Object.keys(breaches).filter((breach) => !found.includes(`${breach.replaceAll(" ", "-")}.yaml ${breach.split(" ")[0]}`));
  assert.deepEqual(missed, [], `not found; found: ${found}`);
}

test("Redocly finds each breach", () => {
  const output = run("redocly", "lint", "--config", "internal/tools/openapi/redocly.yaml", "--format", "github-actions", "--max-problems", "10000", ...plant(redocly));
  const errors = output.matchAll(/^::error title=([^,]+),file=([^,]+),/gm);
  expectEach(redocly, Array.from(errors, ([, rule, file]) => `${basename(file)} ${rule}`));
});

test("Spectral finds each breach", () => {
  const output = run("spectral", "lint", "--quiet", "--ruleset", "internal/tools/openapi/spectral.yaml", "--format", "json", ...plant(spectral));
  const errors = JSON.parse(output).filter((problem) => problem.severity === 0);
  expectEach(spectral, errors.map((problem) => `${basename(problem.source)} ${problem.code}`));
});

test("a breaking change fails unless it is listed", async (t) => {
  const repository = mkdtempSync(join(folder, "repository-"));
  const tools = mkdtempSync(join(folder, "tools-"));
  const compare = join(tools, "compare");
  copyFileSync("internal/tools/openapi/compare", compare);
  // A git hook sets variables that point to its own repository.
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const env = { ...own, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
  const git = (...args) => execFileSync("git", ["-c", "user.name=gates", "-c", "user.email=gates@example.com", ...args], { cwd: repository, env, stdio: "pipe" });

  // compared writes openapi.yaml, the changelog and the ignore file, and returns the script's status and output.
  const compared = (document, { entry = "", ignore = "" } = {}) => {
    writeFileSync(join(repository, "openapi.yaml"), document);
    writeFileSync(join(repository, "CHANGELOG.md"), `# Changelog\n\n### Contract\n\n- Old.\n${entry}\n### Server\n`);
    writeFileSync(join(tools, "err-ignore.txt"), ignore);
    const ran = spawnSync(compare, { cwd: repository, env, encoding: "utf8" });
    return `${ran.status} ${ran.stdout}${ran.stderr}`;
  };
  const entry = "- New.\n";

  const codes = contract.replace(/enum:(\n +- [a-z_]+)*\n +- unavailable\n/, (list) => `x-${list.replace("enum", "extensible-enum")}`);
  assert.ok(codes.includes("x-extensible-enum:"));
  git("init", "--quiet");
  git("commit", "--quiet", "--allow-empty", "--message=Begin");
  assert.match(compared(codes), /^0 .*not compared: there is no release/);
  git("add", ".");
  git("commit", "--quiet", "--message=Add");
  git("tag", "v1.0.0");
  assert.match(compared(`# A comment\n${codes}`), /^0 .*compatible with v1\.0\.0/s);

  const added = replace("        - unavailable\n", "        - unavailable\n        - teapot\n", codes);
  await t.test("a change needs an entry", () => {
    assert.match(compared(added), /^1 .*add an entry under Contract/s);
  });
  await t.test("an added extensible code passes", () => {
    assert.match(compared(added, { entry }), /^0 .*compatible/s);
  });
  // oasdiff v1.36.0 checks removed values of x-extensible-enum in requests only, not in responses.

  for (const [kind, text, replacement] of [
    ["api-operation-id-removed", "operationId: logout", "operationId: leave"],
    ["api-path-removed-without-deprecation", "  /.well-known/jwks.json:", "  /.well-known/keys:"],
    ["response-non-success-status-removed", "        \"429\":\n          $ref: \"#/components/responses/TooManyRequests\"\n", ""],
    ["response-optional-property-removed", "        parameter:\n          type: string\n          description: The query parameter\n          example: token\n", ""],
    ["request-property-became-required", "required: [name, email, password, confirm]", "required: [name, email, password, confirm, bio]"],
  ]) {
    await t.test(kind, () => {
      const document = replace(text, replacement, codes);
      const output = compared(document, { entry });
      assert.match(output, new RegExp(`^1 .*\\[${kind}\\].*breaks clients of v1\\.0\\.0`, "s"));
    });
  }

  await t.test("a listed change passes", () => {
    const renamed = replace("operationId: logout", "operationId: leave", codes);
    const ignore = "POST /auth/logout api operation id `logout` removed and replaced with `leave`\n";
    assert.match(compared(renamed, { entry, ignore }), /^0 .*compatible/s);
    assert.match(compared(renamed, { entry, ignore: ignore.replace("leave", "quit") }), /^1 /);
  });

  await t.test("a repository that git cannot open is an error", () => {
    rmSync(join(repository, ".git/HEAD"));
    assert.match(compared(codes), /^128 fatal/);
  });
});
