// A service of its own that accepts Sesame's access tokens: GET /whoami returns the user of the token.
//
//   npm ci && npm run build
//   npm start -- --issuer http://127.0.0.1:8080 --audience http://127.0.0.1:8080
//   curl -sS http://127.0.0.1:8091/whoami -H "Authorization: Bearer $access"
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8091" },
    issuer: { type: "string", default: "http://127.0.0.1:8080" }, // SESAME_PUBLIC_URL
    audience: { type: "string", default: "http://127.0.0.1:8080" }, // SESAME_AUDIENCE
  },
});
const { issuer, audience } = values;

// The server allows its keys to be kept for five minutes. A token under an unknown key has them fetched before that,
// once a second at most: jose's own 30 seconds would refuse good tokens after a key was revoked.
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
  cacheMaxAge: 300_000,
  cooldownDuration: 1_000,
});

// Errors of the token. Any other error means that the keys could not be fetched, so the token could not be checked.
const refusals = [
  errors.JWTInvalid, errors.JWTExpired, errors.JWTClaimValidationFailed, errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed, errors.JOSEAlgNotAllowed, errors.JOSENotSupported, errors.JWKSNoMatchingKey,
];

async function userOf(authorization: string): Promise<string> {
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? "";
  const { payload } = await jwtVerify(token, keys, {
    issuer,
    audience,
    typ: "at+jwt",
    algorithms: ["ES256", "EdDSA"],
    requiredClaims: ["sub", "sid", "jti", "iat", "exp", "client_id", "auth_time"],
    clockTolerance: 10,
  });
  return payload.sub ?? "";
}

const server = createServer((request, response) => {
  const answer = (status: number, body: object, headers: Record<string, string> = {}): void => {
    const type = status < 400 ? "application/json" : "application/problem+json";
    response.writeHead(status, { "Content-Type": type, ...headers }).end(JSON.stringify(body));
  };
  const { authorization } = request.headers;
  if (request.method !== "GET" || request.url !== "/whoami") {
    return answer(404, { title: "Not Found", status: 404 });
  }
  if (authorization === undefined) {
    return answer(401, { title: "Unauthorized", status: 401 }, { "WWW-Authenticate": 'Bearer realm="sesame"' });
  }
  userOf(authorization).then(
    (user) => answer(200, { user }),
    (error: unknown) =>
      refusals.some((refusal) => error instanceof refusal)
        ? answer(401, { title: "Unauthorized", status: 401 }, { "WWW-Authenticate": 'Bearer realm="sesame", error="invalid_token"' })
        : answer(503, { title: "Service Unavailable", status: 503 }, { "Retry-After": "2" }),
  );
});
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
