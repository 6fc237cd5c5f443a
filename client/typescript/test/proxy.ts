import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A way to the server that counts what goes over it, and can answer instead. */
export interface Proxy {
  url: string;
  /** Requests so far, by path */
  sent: Map<string, number>;
  /** Answers a request itself and says so */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean;
  refreshes(): number;
  close(): void;
}

export async function proxy(server: string): Promise<Proxy> {
  const sent = new Map<string, number>();
  const listener = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "";
    sent.set(path, (sent.get(path) ?? 0) + 1);
    if (p.instead(incoming, outgoing)) return;
    const onward = forward(server + path, { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const p: Proxy = {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    sent,
    instead: () => false,
    refreshes: () => sent.get("/auth/refresh-tokens") ?? 0,
    close: () => {
      listener.close();
      listener.closeAllConnections();
    },
  };
  return p;
}

export function problem(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): true {
  response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
  response.end(JSON.stringify({ type: "about:blank", title: "T", status, detail: "D.", code, instance: "urn:uuid:1" }));
  return true;
}
