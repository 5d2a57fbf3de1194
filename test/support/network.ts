import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface Link {
  client: Socket;
  server: Socket;
  isSilent: boolean;
  /** How often the client has begun to speak after it had heard from the server. */
  flightCount: number;
  hasHeard: boolean;
  /** All that the client has said. */
  said: string;
  hasRefreshed: boolean;
}

/** How an application asks for a refresh, and how a server says that a transaction is committed. */
const REFRESH = 'REFRESH MATERIALIZED VIEW';
const COMMITTED = 'COMMIT\0';

/** A network between an application and its server that a test can break. */
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
   * How many round trips have been made by connections on which the client has said this before: how often
   * it has begun to speak, and not gone on, since it had heard from the server. What the server answers to the first
   * statements of a flight may still be under way when the client sends the last ones.
   */
  flightCount(words: string): number {
    return this.links
      .filter((link) => link.said.includes(words))
      .reduce((sum, link) => sum + link.flightCount, 0);
  }

  /** How many connections have been opened, also those on which nothing was said. */
  get linkCount(): number {
    return this.links.length;
  }

  /** From now on, no byte passes on any connection except the first ones, silently. */
  goSilent(options: { except: number; newOnesToo: boolean }): void {
    this.links.slice(options.except).forEach((link) => (link.isSilent = true));
    this.isDead = options.newOnesToo;
  }

  /** Cuts all connections but the first ones; none if not said. */
  cut(options: { except: number } = { except: 0 }): void {
    this.links.slice(options.except).forEach(destroy);
  }

  /** Cuts all connections but the first ones on the client's side alone: the server goes on as if nothing had been. */
  strand(options: { except: number }): void {
    for (const link of this.links.slice(options.except)) {
      link.isSilent = true;
      link.client.destroy();
    }
  }

  /** From now on each answer takes longer, and with the given probability is a reset instead. */
  degrade(options: { delayMs: number; resetProbability: number }): void {
    this.delayMs = options.delayMs;
    this.resetProbability = options.resetProbability;
  }

  /** What passes from now on does so as if nothing had been; what was lost stays lost. */
  recover(): void {
    this.isDead = false;
    this.degrade({ delayMs: 0, resetProbability: 0 });
    this.links.filter((link) => link.isSilent).forEach(destroy);
  }

  /** Cuts the connection of the next refresh that is committed, when the server says so. */
  cutAtCommit(): void {
    this.isCutAtCommit = true;
  }

  async stop(): Promise<void> {
    this.links.forEach(destroy);
    this.listener.close();
    await once(this.listener, 'close');
  }

  /** Timers of one duration go off in the order in which they were set: no answer overtakes another. */
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
