import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A proxy in front of the server. It counts requests and can respond to them itself. */
export interface Proxy {
  url: string;
  /** The number of requests by path. */
  sent: Map<string, number>;
  /** Responds to a request and returns true, or returns false to forward it. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean;
  refreshes(): number;
  close(): void;
}

export async function proxy(server: string): Promise<Proxy> {
  const sent = new Map<string, number>();
  const listener = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "";
    sent.set(path, (sent.get(path) ?? 0) + 1);
    if (p.intercept(incoming, outgoing)) return;
    const { method, headers } = incoming;
    const forwarded = request(server + path, { method, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    forwarded.on("error", () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const p: Proxy = {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    sent,
    intercept: () => false,
    refreshes: () => sent.get("/auth/refresh-tokens") ?? 0,
    close: () => {
      listener.close();
      listener.closeAllConnections();
    },
  };
  return p;
}

/** Responds with a problem document, and returns true for `intercept`. */
export function problem(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): true {
  response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
  response.end(JSON.stringify({ type: "about:blank", title: "T", status, detail: "D.", code, instance: "urn:uuid:1" }));
  return true;
}
