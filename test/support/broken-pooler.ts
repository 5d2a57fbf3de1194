import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * What the pooler does to a statement that arrives before the previous one is answered: it drops the statement, loses every
 * second answer, swaps two answers, or cuts the connection.
 */
export const PIPELINE_FAULTS = ['dropped', 'answer lost', 'answers exchanged', 'cut'] as const;

export type PipelineFault = (typeof PIPELINE_FAULTS)[number];

/** A proxy between an application and its server that can't handle pipelined statements. */
export class BrokenPooler {
  /** @param times how many faults it causes before it passes everything on */
  static async before(
    serverUrl: string,
    fault: PipelineFault,
    times = Infinity,
  ): Promise<BrokenPooler> {
    const pooler = new BrokenPooler(new URL(serverUrl), fault, times);
    pooler.listener.listen(0, '127.0.0.1');
    await once(pooler.listener, 'listening');
    return pooler;
  }

  /** How many pipelined statements it has broken. */
  faultCount = 0;
  private readonly listener: Server = createServer((client) => this.forward(client));
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: URL,
    private readonly fault: PipelineFault,
    private readonly times: number,
  ) {}

  get url(): string {
    const url = new URL(this.server);
    url.hostname = '127.0.0.1';
    url.port = String((this.listener.address() as AddressInfo).port);
    return url.href;
  }

  async stop(): Promise<void> {
    this.sockets.forEach((socket) => socket.destroy());
    this.listener.close();
    await once(this.listener, 'close');
  }

  private forward(client: Socket): void {
    const server = connect(Number(this.server.port || 5432), this.server.hostname);
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    const meetsFault = (): boolean => this.faultCount < this.times && ++this.faultCount > 0;
    const link = new Link(this.fault, { client, server, end }, meetsFault);
    client.on('data', (chunk) => link.hearClient(chunk));
    server.on('data', (chunk) => link.hearServer(chunk));
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.sockets.delete(socket);
        end();
      });
    }
  }
}

/** A client's connection, and the one to the server behind it. */
class Link {
  private readonly fromClient = new Messages('without a type');
  private readonly fromServer = new Messages();
  /** Unanswered statements, counted after the server's first ReadyForQuery. */
  private openCount = 0;
  private isReady = false;
  private answer: Buffer[] = [];
  private kept: Buffer[] = [];

  constructor(
    private readonly fault: PipelineFault,
    private readonly to: { client: Socket; server: Socket; end: () => void },
    private readonly meetsFault: () => boolean,
  ) {}

  hearClient(chunk: Buffer): void {
    for (const message of this.fromClient.read(chunk)) {
      const isPipelined = this.isReady && this.openCount > 0 && this.meetsFault();
      if (isPipelined && this.fault === 'cut') {
        this.to.end();
        return;
      }
      if (isPipelined && this.fault === 'dropped') {
        continue;
      }
      this.openCount += Number(endsStatement(message));
      this.to.server.write(message);
    }
  }

  hearServer(chunk: Buffer): void {
    for (const message of this.fromServer.read(chunk)) {
      this.answer.push(message);
      if (!this.isReady) {
        this.isReady = typeOf(message) === 'Z';
        this.send(this.takeAnswer());
      } else if (typeOf(message) === 'Z') {
        this.finish(this.takeAnswer());
      }
    }
  }

  private finish(answer: Buffer[]): void {
    const others = --this.openCount;
    if (this.fault === 'answer lost' && this.kept.length === 0 && others > 0) {
      // Passes on this answer, and drops the next one.
      this.kept = answer;
      this.send(answer);
    } else if (this.fault === 'answers exchanged' && this.kept.length === 0 && others > 0) {
      this.kept = answer;
    } else if (this.fault === 'answers exchanged') {
      this.send([...answer, ...this.kept]);
      this.kept = [];
    } else if (this.kept.length > 0) {
      this.kept = [];
    } else {
      this.send(answer);
    }
  }

  private takeAnswer(): Buffer[] {
    const { answer } = this;
    this.answer = [];
    return answer;
  }

  private send(messages: Buffer[]): void {
    if (!this.to.client.destroyed) {
      this.to.client.write(Buffer.concat(messages));
    }
  }
}

/** Splits a byte stream into PostgreSQL protocol messages. */
class Messages {
  private rest = Buffer.alloc(0);
  private isFirst: boolean;

  /** @param first for a client's stream: its first message has no type byte */
  constructor(first?: 'without a type') {
    this.isFirst = first !== undefined;
  }

  read(chunk: Buffer): Buffer[] {
    this.rest = Buffer.concat([this.rest, chunk]);
    const found: Buffer[] = [];
    for (;;) {
      const typeSize = this.isFirst ? 0 : 1;
      if (this.rest.length < typeSize + 4) {
        return found;
      }
      const size = typeSize + this.rest.readInt32BE(typeSize);
      if (this.rest.length < size) {
        return found;
      }
      found.push(this.rest.subarray(0, size));
      this.rest = this.rest.subarray(size);
      this.isFirst = false;
    }
  }
}

function typeOf(message: Buffer): string {
  return String.fromCharCode(message[0] ?? 0);
}

/** Whether the message is a Sync or a simple Query. */
function endsStatement(message: Buffer): boolean {
  return ['S', 'Q'].includes(typeOf(message));
}
