// Verifies an access token with Node's own crypto and the published keys alone; prints its claims.
import { createPublicKey, verify } from "node:crypto";

const [url, token] = process.argv.slice(2);
const [head, claims, signature] = token.split(".");
const { kid, alg } = JSON.parse(Buffer.from(head, "base64url"));
const { keys } = await (await fetch(url)).json();
const jwk = keys.find((key) => key.kid === kid && key.alg === alg);
const key = createPublicKey({ key: jwk, format: "jwk" });
const valid = verify(
  alg === "EdDSA" ? null : "sha256",
  Buffer.from(`${head}.${claims}`),
  { key, dsaEncoding: "ieee-p1363" },
  Buffer.from(signature, "base64url"),
);
if (!valid) throw new Error("the signature is not valid");
console.log(Buffer.from(claims, "base64url").toString());
