import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { TestDatabase } from '../../../support/test-database.js';

/** The start of the BackendKeyData message: type and the first bytes of the length; the process ID follows. */
const BACKEND_KEY_DATA = Buffer.from([0x4b, 0, 0, 0]);

/** A proxy between an application and its server. It terminates one backend before that receives its next message. */
export class Interruption {
  /**
   * @param flight the number of the chunk from the application that does not reach its backend, counted over all
   * connections except the first, which is TypeORM's
   */
  static async before(database: TestDatabase, flight: number): Promise<Interruption> {
    const interruption = new Interruption(database, flight);
    interruption.listener.listen(0, '127.0.0.1');
    await once(interruption.listener, 'listening');
    return interruption;
  }

  hasCome = false;
  private readonly listener: Server = createServer((client) => this.forward(client));
  private readonly sockets: Socket[] = [];
  private flightCount = 0;

  private constructor(
    private readonly database: TestDatabase,
    private readonly flight: number,
  ) {}

  get url(): string {
    const url = new URL(this.database.directUrl);
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
    const isTypeOrm = this.sockets.length === 0;
    const { hostname, port } = new URL(this.database.directUrl);
    const server = connect(Number(port || 5432), hostname);
    this.sockets.push(client, server);
    let backend: number | undefined;
    server.on('data', (chunk: Buffer) => {
      const position = backend === undefined ? chunk.indexOf(BACKEND_KEY_DATA) : -1;
      backend = position < 0 ? backend : chunk.readInt32BE(position + 5);
      client.write(chunk);
    });
    let last: Promise<unknown> = Promise.resolve();
    client.on('data', (chunk: Buffer) => {
      const isLast = !isTypeOrm && backend !== undefined && ++this.flightCount === this.flight;
      last = last.then(async () => {
        if (isLast) {
          this.hasCome = true;
          await this.database.query('SELECT pg_terminate_backend($1)', [backend]);
          await this.database.until(
            'SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)',
            [backend],
          );
        }
        if (!server.destroyed) {
          server.write(chunk);
        }
      });
    });
    for (const socket of [client, server]) {
      socket.on('error', () => this.close(client, server));
      socket.on('close', () => this.close(client, server));
    }
  }

  private close(client: Socket, server: Socket): void {
    client.destroy();
    server.destroy();
  }
}
