import { createHash, createSign, generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { serverURL } from "./kit.js";

interface Passkey {
  id: Buffer;
  user: Buffer;
  key: KeyObject;
}

interface Init {
  publicKey: { challenge: Buffer; user?: { id: Buffer }; rpId?: string; rp?: { id: string } };
  signal?: AbortSignal;
  mediation?: string;
}

/** What the user does in the browser's dialog. */
type User = "accepts" | "cancels" | "waits";

/** A browser with one passkey, for `navigator.credentials` and `PublicKeyCredential`. */
export class Authenticator {
  user: User = "accepts";
  /** The mediation of each call of `navigator.credentials.get`. */
  readonly mediations: (string | undefined)[] = [];
  autofill = true;
  #passkey: Passkey | undefined;

  /** Runs a test in this browser. */
  async run(test: () => Promise<void>): Promise<void> {
    const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    const authenticator = this;
    class PublicKeyCredential {
      static readonly parseCreationOptionsFromJSON = decode;
      static readonly parseRequestOptionsFromJSON = decode;
      static readonly isConditionalMediationAvailable = async () => authenticator.autofill;
      toJSON() {}
    }
    const credentials = {
      create: (init: Init) => this.#dialog(init, () => this.#create(init)),
      get: (init: Init) => {
        this.mediations.push(init.mediation);
        return this.#dialog(init, () => this.#sign(init));
      },
    };
    Object.defineProperty(globalThis, "navigator", { value: { credentials }, configurable: true });
    Object.assign(globalThis, { PublicKeyCredential });
    try {
      await test();
    } finally {
      Reflect.deleteProperty(globalThis, "navigator");
      Reflect.deleteProperty(globalThis, "PublicKeyCredential");
      if (before) Object.defineProperty(globalThis, "navigator", before);
    }
  }

  #dialog(init: Init, accept: () => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const abort = () => reject(init.signal?.reason as Error);
      if (init.signal?.aborted) abort();
      else if (this.user === "accepts") resolve({ toJSON: accept });
      else if (this.user === "cancels") reject(new DOMException("cancelled", "NotAllowedError"));
      else init.signal?.addEventListener("abort", abort);
    });
  }

  #create({ publicKey }: Init) {
    const { privateKey: key, publicKey: shown } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const id = randomBytes(16);
    this.#passkey = { id, user: publicKey.user?.id ?? Buffer.of(), key };
    const { x = "", y = "" } = shown.export({ format: "jwk" });
    const cose = Buffer.concat([hex("a5010203262001215820"), fromBase64(x), hex("225820"), fromBase64(y)]);
    const data = Buffer.concat([
      authenticatorData(publicKey.rp?.id, 0x5d), // with a new credential
      Buffer.alloc(16),
      Buffer.of(0, id.length),
      id,
      cose,
    ]);
    const head = hex("a363666d74646e6f6e656761747453746d74a068617574684461746158"); // of the format none, in CBOR
    const attestation = [head, Buffer.of(data.length), data];
    return this.#json("webauthn.create", publicKey.challenge, {
      attestationObject: toBase64(Buffer.concat(attestation)),
      transports: ["internal"],
    });
  }

  #sign({ publicKey }: Init) {
    if (!this.#passkey) throw new Error("there is no passkey");
    const data = authenticatorData(publicKey.rpId, 0x1d);
    const signature = createSign("sha256")
      .update(data)
      .update(sha256(clientData("webauthn.get", publicKey.challenge)))
      .sign(this.#passkey.key);
    return this.#json("webauthn.get", publicKey.challenge, {
      authenticatorData: toBase64(data),
      signature: toBase64(signature),
      userHandle: toBase64(this.#passkey.user),
    });
  }

  #json(type: string, challenge: Buffer, response: object) {
    const id = toBase64(this.#passkey?.id ?? Buffer.of());
    const clientDataJSON = toBase64(clientData(type, challenge));
    return { id, rawId: id, type: "public-key", clientExtensionResults: {}, response: { clientDataJSON, ...response } };
  }
}

const hex = (text: string) => Buffer.from(text, "hex");
const toBase64 = (bytes: Buffer) => bytes.toString("base64url");
const fromBase64 = (text: string) => Buffer.from(text, "base64url");
const sha256 = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest();

/** Returns the data that an authenticator signs, without a credential. */
const authenticatorData = (rpId = "", flags: number) => Buffer.concat([sha256(rpId), Buffer.of(flags, 0, 0, 0, 0)]);

/** Returns what the browser says about the page, which is on the host localhost. */
function clientData(type: string, challenge: Buffer): Buffer {
  const origin = `http://localhost:${new URL(serverURL).port}`;
  return Buffer.from(JSON.stringify({ type, challenge: toBase64(challenge), origin, crossOrigin: false }));
}

/** Does what the browser does with options in JSON. */
function decode<T extends { challenge: string; user?: { id: string } }>(options: T) {
  const user = options.user && { ...options.user, id: fromBase64(options.user.id) };
  return { ...options, challenge: fromBase64(options.challenge), user };
}
