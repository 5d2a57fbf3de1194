import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface Link {
  client: Socket;
  server: Socket;
  isSilent: boolean;
  /** How often the client has sent something after the server had answered. */
  flightCount: number;
  hasHeard: boolean;
  /** Everything that the client has sent. */
  said: string;
  hasRefreshed: boolean;
}

/** The client's refresh statement, and the server's tag of a committed transaction. */
const REFRESH = 'REFRESH MATERIALIZED VIEW';
const COMMITTED = 'COMMIT\0';

/** A proxy between an application and its server. A test can break its connections. */
export class Network {
  static async to(serverUrl: string): Promise<Network> {
    const network = new Network(new URL(serverUrl));
    network.listener.listen(0, '127.0.0.1');
    await once(network.listener, 'listening');
    return network;
  }

  private readonly listener: Server = createServer((client) => this.forward(client));
  private readonly links: Link[] = [];
  private isCutAtCommit = false;
  private isDead = false;
  private delayMs = 0;
  private resetProbability = 0;

  private constructor(private readonly server: URL) {}

  get url(): string {
    const url = new URL(this.server);
    url.hostname = '127.0.0.1';
    url.port = String((this.listener.address() as AddressInfo).port);
    return url.href;
  }

  /**
   * The number of round trips on connections on which the client has sent these words. A round trip begins when the client
   * sends something after the server has answered. If the client sends in parts, answers to the first statements may arrive
   * before it sends the last ones.
   */
  flightCount(words: string): number {
    return this.links
      .filter((link) => link.said.includes(words))
      .reduce((sum, link) => sum + link.flightCount, 0);
  }

  /** How many connections have been opened, including unused ones. */
  get linkCount(): number {
    return this.links.length;
  }

  /** Silently drops all traffic from now on, except on the first `except` connections. */
  goSilent(options: { except: number; newOnesToo: boolean }): void {
    this.links.slice(options.except).forEach((link) => (link.isSilent = true));
    this.isDead = options.newOnesToo;
  }

  /** Cuts all connections except the first `except` ones. */
  cut(options: { except: number } = { except: 0 }): void {
    this.links.slice(options.except).forEach(destroy);
  }

  /** Closes the client's side of all connections except the first `except` ones. The server doesn't notice. */
  strand(options: { except: number }): void {
    for (const link of this.links.slice(options.except)) {
      link.isSilent = true;
      link.client.destroy();
    }
  }

  /** Delays each chunk of an answer from now on, or resets the connection with the given probability. */
  degrade(options: { delayMs: number; resetProbability: number }): void {
    this.delayMs = options.delayMs;
    this.resetProbability = options.resetProbability;
  }

  /** Ends all faults. Silent connections are cut, and lost data stays lost. */
  recover(): void {
    this.isDead = false;
    this.degrade({ delayMs: 0, resetProbability: 0 });
    this.links.filter((link) => link.isSilent).forEach(destroy);
  }

  /** When the server confirms the next commit of a refresh, cuts that connection instead of passing it on. */
  cutAtCommit(): void {
    this.isCutAtCommit = true;
  }

  async stop(): Promise<void> {
    this.links.forEach(destroy);
    this.listener.close();
    await once(this.listener, 'close');
  }

  /** Delayed answers stay in order, because timers with equal delays fire in the order in which they were set. */
  private answer(link: Link, chunk: Buffer): void {
    if (this.isCutAtCommit && link.hasRefreshed && chunk.includes(COMMITTED)) {
      this.isCutAtCommit = false;
      destroy(link);
    } else if (Math.random() < this.resetProbability) {
      link.client.resetAndDestroy();
      destroy(link);
    } else if (this.delayMs > 0) {
      setTimeout(() => hear(link, chunk), this.delayMs);
    } else {
      hear(link, chunk);
    }
  }

  private forward(client: Socket): void {
    const server = connect(Number(this.server.port || 5432), this.server.hostname);
    const link: Link = {
      client,
      server,
      isSilent: this.isDead,
      flightCount: 0,
      hasHeard: true,
      said: '',
      hasRefreshed: false,
    };
    this.links.push(link);
    client.on('data', (chunk) => {
      link.flightCount += Number(link.hasHeard);
      link.hasHeard = false;
      link.said += chunk.toString('latin1');
      link.hasRefreshed ||= chunk.includes(REFRESH);
      pass(link, server, chunk);
    });
    server.on('data', (chunk) => this.answer(link, chunk));
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => destroy(link));
      socket.on('close', () => !link.isSilent && destroy(link));
    }
  }
}

function hear(link: Link, chunk: Buffer): void {
  link.hasHeard = true;
  pass(link, link.client, chunk);
}

function pass(link: Link, to: Socket, chunk: Buffer): void {
  if (!link.isSilent && !to.destroyed) {
    to.write(chunk);
  }
}

function destroy({ client, server }: Link): void {
  client.destroy();
  server.destroy();
}
