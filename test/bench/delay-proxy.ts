import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A network between client and server: it counts round trips, and makes each take longer. */
export class DelayProxy {
  /**
   * @param serverUrl where the PostgreSQL server is
   * @param addedMs by how much a round trip gets longer; half of it each way
   */
  static async start(serverUrl: string, addedMs: number): Promise<DelayProxy> {
    const proxy = new DelayProxy(new URL(serverUrl), addedMs / 2);
    proxy.listener.listen(0, '127.0.0.1');
    await once(proxy.listener, 'listening');
    return proxy;
  }

  private readonly listener: Server = createServer((client) => this.forward(client));
  private roundTripCount = 0;

  private constructor(
    private readonly server: URL,
    private readonly delayMs: number,
  ) {}

  get url(): string {
    const url = new URL(this.server);
    url.hostname = '127.0.0.1';
    url.port = String((this.listener.address() as AddressInfo).port);
    return url.href;
  }

  async countRoundTrips(work: () => Promise<unknown>): Promise<number> {
    const before = this.roundTripCount;
    await work();
    return this.roundTripCount - before;
  }

  async stop(): Promise<void> {
    this.listener.close();
    await once(this.listener, 'close');
  }

  private forward(client: Socket): void {
    const server = connect(Number(this.server.port || 5432), this.server.hostname);
    // A round trip begins when the client speaks after the server has spoken.
    let isServersTurn = false;
    client.on('data', () => {
      this.roundTripCount += isServersTurn ? 0 : 1;
      isServersTurn = true;
    });
    server.on('data', () => (isServersTurn = false));
    this.pass(client, server);
    this.pass(server, client);
  }

  /** Timers of one duration fire in the order in which they were set, so no chunk overtakes another. */
  private pass(from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on('data', (chunk) => setTimeout(() => to.write(chunk), this.delayMs));
    from.on('error', () => to.destroy());
    from.on('close', () => setTimeout(() => to.end(), this.delayMs));
  }
}
