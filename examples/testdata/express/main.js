// A service that knows the issuer alone: express-oauth2-jwt-bearer finds the keys by the server's metadata.
import express from "express";
import { auth } from "express-oauth2-jwt-bearer";

const [issuerBaseURL, audience, tokenSigningAlg] = process.argv.slice(2);
const app = express();
app.use(auth({ issuerBaseURL, audience, tokenSigningAlg, strict: true, cooldownDuration: 1_000 }));
app.get("/whoami", (request, response) => response.json({ user: request.auth.payload.sub }));
const server = app.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
