// A service that accepts Sesame's access tokens: GET /whoami returns the user of the token.
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

// The server allows keys to be cached for five minutes. If a token has an unknown key, they are fetched again, at most
// once a second. With jose's default of 30 seconds, valid tokens would be refused for a while after a key was revoked.
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
  cacheMaxAge: 300_000,
  cooldownDuration: 1_000,
});

// The errors of an invalid token. Any other error means that the keys could not be fetched.
const tokenErrors = [
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
    requiredClaims: ["sub", "sid", "jti", "iat", "exp", "client_id", "auth_time", "email_verified"],
  });
  return payload.sub ?? "";
}

const server = createServer((request, response) => {
  const respond = (status: number, body: object, headers: Record<string, string> = {}): void => {
    const type = status < 400 ? "application/json" : "application/problem+json";
    response.writeHead(status, { "Content-Type": type, ...headers }).end(JSON.stringify(body));
  };
  const { authorization } = request.headers;
  if (request.method !== "GET" || request.url !== "/whoami") {
    return respond(404, { title: "Not Found", status: 404 });
  }
  if (authorization === undefined) {
    return respond(401, { title: "Unauthorized", status: 401 }, { "WWW-Authenticate": 'Bearer realm="sesame"' });
  }
  userOf(authorization).then(
    (user) => respond(200, { user }),
    (error: unknown) => {
      if (tokenErrors.some((tokenError) => error instanceof tokenError)) {
        const challenge = 'Bearer realm="sesame", error="invalid_token"';
        respond(401, { title: "Unauthorized", status: 401 }, { "WWW-Authenticate": challenge });
      } else {
        respond(503, { title: "Service Unavailable", status: 503 }, { "Retry-After": "2" });
      }
    },
  );
});
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
