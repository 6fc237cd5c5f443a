// Tests the linters' rules: breaks each rule in a copy of the OpenAPI document, and expects the linter to report it.
// The document is read from gen/openapi.json and changed as an object, so its texts may change freely. Only a few
// operations are kept, because linting all of them for each rule would take minutes.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, test } from "node:test";

const tools = join(process.cwd(), "internal/tools/openapi");
const original = only(JSON.parse(readFileSync("gen/openapi.json", "utf8")), [
  "/auth", "/auth/login", "/auth/register", "/auth/forgot-password", "/auth/reset-password", "/.well-known/jwks.json",
]);
const folder = mkdtempSync(join(tmpdir(), "gates-"));
after(() => rmSync(folder, { recursive: true }));

// only returns a document with some of the paths, and the components that they refer to.
function only(document, paths) {
  const small = { ...document, paths: Object.fromEntries(paths.map((path) => [path, document.paths[path]])), components: {} };
  const add = (value) => {
    for (const [, kind, name] of JSON.stringify(value).matchAll(/"#\/components\/(\w+)\/([^"]+)"/g)) {
      small.components[kind] ??= {};
      if (name in small.components[kind]) continue;
      small.components[kind][name] = document.components[kind][name];
      add(small.components[kind][name]);
    }
  };
  add(small.paths);
  small.components.securitySchemes = document.components.securitySchemes;
  return small;
}

// changed returns a copy of the document to which change was applied.
function changed(change, document = original) {
  const copy = structuredClone(document);
  change(copy);
  assert.notDeepEqual(copy, document, `no change: ${change}`);
  return copy;
}

// rename moves the member old of an object to the name new.
function rename(object, old, name) {
  object[name] = object[old];
  delete object[old];
}

const login = (d) => d.paths["/auth/login"].post;
const reset = (d) => d.paths["/auth/reset-password"].post;
const body = (operation) => operation.requestBody.content["application/json"];
const ok = (operation) => operation.responses["200"].content["application/json"];
const unauthorized = (operation) => operation.responses["401"].content;
const schema = (d, name) => d.components.schemas[name];
const retryAfter = (d) => d.components.headers["Retry-After"];

// Changes that break a rule, by the rule that must report them. A word after the rule distinguishes several changes.
const redocly = {
  "struct": (d) => rename(d.info, "title", "titel"),
  "no-unresolved-refs": (d) => { ok(login(d)).schema.$ref += "s"; },
  "no-unused-components": (d) => { d.components.schemas.Unused = { type: "string", example: "none" }; },
  "security-defined": (d) => { delete login(d).security; },
  "operation-operationId": (d) => { delete login(d).operationId; },
  "operation-operationId-unique": (d) => { login(d).operationId = "register"; },
  "operation-summary": (d) => { delete login(d).summary; },
  "operation-description": (d) => { delete login(d).description; },
  "operation-tag-defined": (d) => { login(d).tags = ["Locks"]; },
  "tag-description": (d) => { delete d.tags[0].description; },
  "parameter-description": (d) => { delete reset(d).parameters[0].description; },
  "no-schema-type-mismatch": (d) => { schema(d, "User").type = "string"; },
  "no-invalid-media-type-examples": (d) => { ok(login(d)).example.undocumented = 1; },
  "no-invalid-schema-examples": (d) => { schema(d, "User").properties.email.example = "ada"; },
  "no-invalid-parameter-examples": (d) => { reset(d).parameters[0].example = ""; },
  "scalar-property-missing-example": (d) => { delete schema(d, "Welcome").properties.message.example; },
};
const spectral = {
  "info-contact": (d) => { delete d.info.contact; },
  "oas3-valid-media-example": (d) => { retryAfter(d).example = 0; },
  "owasp:api2:2023-no-http-basic": (d) => { d.components.securitySchemes.BearerAuth.scheme = "basic"; },
  "owasp:api4:2023-integer-format": (d) => { delete schema(d, "Tokens").properties.expiresIn.format; },
  "operation-id-camel-case": (d) => { login(d).operationId = "log_in"; },
  "operation-one-tag none": (d) => { delete login(d).tags; },
  "operation-one-tag empty": (d) => { login(d).tags = []; },
  "operation-one-tag two": (d) => { login(d).tags = ["Sessions", "Keys"]; },
  "status-listed": (d) => rename(login(d).responses, "503", "default"),
  "error-is-problem other": (d) => rename(unauthorized(login(d)), "application/problem+json", "application/json"),
  "error-is-problem both": (d) => { unauthorized(login(d))["application/json"] = ok(login(d)); },
  "error-is-problem empty": (d) => { delete login(d).responses["401"].content; },
  "problem-is-error": (d) => rename(login(d).responses["200"].content, "application/json", "application/problem+json"),
  "problem-schema": (d) => { unauthorized(login(d))["application/problem+json"].schema.$ref = "#/components/schemas/Tokens"; },
  "schema-name": (d) => { d.components.schemas.LogoutRESPONSE = schema(d, "Confirmation"); },
  "schema-named body": (d) => { body(login(d)).schema = { type: "object" }; },
  "schema-named response": (d) => { ok(login(d)).schema = { type: "object" }; },
  "property-named enum": (d) => { schema(d, "User").properties.name.enum = ["Ada Lovelace"]; },
  "property-named object": (d) => { schema(d, "Welcome").properties.user = { type: "object", description: "A user", example: {} }; },
  "property-named fields": (d) => { schema(d, "Welcome").properties.user = { description: "A user", properties: {} }; },
  "property-named items": (d) => { schema(d, "JWKSet").properties.keys.items = { type: "object" }; },
  "property-described property": (d) => { delete schema(d, "Welcome").properties.message.description; },
  "property-described header": (d) => { delete retryAfter(d).description; },
  "example media": (d) => { delete ok(login(d)).example; },
  "example schema": (d) => { delete schema(d, "Tokens").example; },
  "example array": (d) => { delete schema(d, "JWKSet").properties.keys.example; },
  "example parameter": (d) => { delete reset(d).parameters[0].example; },
  "example header": (d) => { delete retryAfter(d).example; },
};

// fileName returns the name of the file for a change.
const fileName = (violation) => `${violation.replaceAll(/[ :]/g, "-")}.json`;

// run lints one file for each change, expects the linter to fail and returns its standard output.
function run(linter, violations, ...args) {
  const files = Object.entries(violations).map(([violation, change]) => {
    const file = join(folder, fileName(violation));
    writeFileSync(file, JSON.stringify(changed(change), null, 1));
    return file;
  });
  const ran = spawnSync(join(tools, "node_modules/.bin", linter), [...args, ...files], { encoding: "utf8", maxBuffer: 1 << 26 });
  assert.equal(ran.status, 1, ran.stderr);
  return ran.stdout;
}

// expectEach expects that each violation was found. found contains a file name and a rule for each reported problem.
function expectEach(violations, found) {
  const missed = Object.keys(violations).filter((violation) => !found.includes(`${fileName(violation)} ${violation.split(" ")[0]}`));
  assert.deepEqual(missed, [], `not found; found:\n${found.join("\n")}`);
}

test("Redocly reports each violation", () => {
  const output = run("redocly", redocly, "lint", "--config", join(tools, "redocly.yaml"), "--format", "github-actions", "--max-problems", "10000");
  const errors = output.matchAll(/^::error title=([^,]+),file=([^,]+),/gm);
  expectEach(redocly, Array.from(errors, ([, rule, file]) => `${basename(file)} ${rule}`));
});

test("Spectral reports each violation", () => {
  const output = run("spectral", spectral, "lint", "--quiet", "--fail-severity", "hint", "--ruleset", join(tools, "spectral.yaml"), "--format", "json");
  expectEach(spectral, JSON.parse(output).map((problem) => `${basename(problem.source)} ${problem.code}`));
});

test("a breaking change fails unless it is listed", async (t) => {
  const repository = mkdtempSync(join(folder, "repository-"));
  const ignoreFile = join(folder, "err-ignore.txt");
  // A git hook sets variables that point to its own repository.
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const env = { ...own, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", ERR_IGNORE: ignoreFile };
  const git = (...args) => execFileSync("git", ["-c", "user.name=gates", "-c", "user.email=gates@example.com", ...args], { cwd: repository, env, stdio: "pipe" });
  const commit = (message) => git("commit", "--quiet", "--all", "--allow-empty", `--message=${message}`);

  // compared writes openapi.yaml, the changelog and the ignore file, and returns the script's status and output.
  const compared = (document, { entry = "", ignore = "" } = {}) => {
    writeFileSync(join(repository, "openapi.yaml"), JSON.stringify(document)); // JSON is YAML too
    writeFileSync(join(repository, "CHANGELOG.md"), `# Changelog\n\n### Contract\n\n- Old.\n${entry}\n### Server\n`);
    writeFileSync(ignoreFile, ignore);
    const ran = spawnSync(join(tools, "compare"), { cwd: repository, env, encoding: "utf8" });
    return `${ran.status} ${ran.stdout}${ran.stderr}`;
  };
  const entry = "- New.\n";
  const addCode = (d) => schema(d, "ProblemCode")["x-extensible-enum"].push("teapot");
  const removeCode = (d) => schema(d, "ProblemCode")["x-extensible-enum"].pop();
  const lastCode = original.components.schemas.ProblemCode["x-extensible-enum"].at(-1);

  git("init", "--quiet");
  commit("Begin");
  assert.match(compared(original), /^0 .*not compared: there is no release/);
  git("update-ref", "refs/remotes/origin/main", "HEAD");
  assert.match(compared(original), /^0 .*not compared: .* has none/);
  git("add", ".");
  commit("Add");

  await t.test("before the first release, the base is the merge base with origin/main", () => {
    commit("Others' work");
    const more = changed(addCode);
    compared(more, { entry });
    commit("Add a code");
    git("update-ref", "refs/remotes/origin/main", "HEAD");
    git("reset", "--quiet", "--hard", "HEAD~1");
    assert.match(compared(original), /^0 .*compatible/s);
  });

  git("tag", "v1.0.0");
  await t.test("after the first release, the base is the newest release that is not a prerelease", () => {
    compared(changed(addCode), { entry });
    commit("Add a code");
    git("tag", "v1.1.0-rc.1");
    assert.match(compared(original), /^0 .*compatible with v1\.0\.0/s);
    git("reset", "--quiet", "--hard", "HEAD~1");
  });

  await t.test("a change needs an entry", () => {
    assert.match(compared(changed(addCode)), /^1 .*add an entry under Contract/s);
  });
  await t.test("an added extensible code passes", () => {
    assert.match(compared(changed(addCode), { entry }), /^0 .*compatible/s);
  });
  await t.test("a removed extensible code fails", () => {
    const document = changed(removeCode);
    assert.match(compared(document, { entry }), new RegExp(`^1 .*lacks codes of v1\\.0\\.0.*ProblemCode ${lastCode}`, "s"));
    assert.match(compared(document, { entry, ignore: `ProblemCode ${lastCode}\n` }), /^0 .*compatible/s);
    assert.match(compared(document, { entry, ignore: `# ProblemCode ${lastCode}\n` }), /^1 /);
  });

  for (const [kind, change] of Object.entries({
    "api-operation-id-removed": (d) => { login(d).operationId = "enter"; },
    "api-path-removed-without-deprecation": (d) => rename(d.paths, "/.well-known/jwks.json", "/.well-known/keys"),
    "api-schema-removed": (d) => {
      rename(d.components.schemas, "ForgotPasswordInput", "Forgotten");
      body(d.paths["/auth/forgot-password"].post).schema.$ref = "#/components/schemas/Forgotten";
    },
    "response-non-success-status-removed": (d) => { delete login(d).responses["429"]; },
    "response-optional-property-removed": (d) => { delete schema(d, "ValidationError").properties.parameter; },
    "request-property-became-required": (d) => { schema(d, "RegisterInput").required.push("bio"); },
  })) {
    await t.test(kind, () => {
      const output = compared(changed(change), { entry });
      assert.match(output, new RegExp(`^1 .*\\[${kind}\\].*breaks clients of v1\\.0\\.0`, "s"));
    });
  }

  await t.test("a listed change passes", () => {
    const renamed = changed((d) => { login(d).operationId = "enter"; });
    const line = "POST /auth/login api operation id `login` removed and replaced with `enter`\n";
    assert.match(compared(renamed, { entry, ignore: line }), /^0 .*compatible/s);
    assert.match(compared(renamed, { entry, ignore: line.replace("enter", "quit") }), /^1 /);
    assert.match(compared(renamed, { entry, ignore: `# ${line}` }), /^1 /); // a comment
  });

  await t.test("a repository that git cannot open is an error", () => {
    rmSync(join(repository, ".git/HEAD"));
    assert.match(compared(original), /^128 .*fatal/);
  });
});
