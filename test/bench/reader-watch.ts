import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';

/** Pause between reads, so that the reader doesn't occupy a CPU. */
const PAUSE_MS = 1;

/** A reader that runs a query in a loop, and records its longest wait during each kind of work. */
export class ReaderWatch {
  static async start(url: string, text: string): Promise<ReaderWatch> {
    const client = new Client({ connectionString: url });
    await client.connect();
    return new ReaderWatch(client, text);
  }

  readonly longestWaitsMs = new Map<string, number>();
  private current?: string;
  private isStopped = false;
  private readonly loop: Promise<void>;

  private constructor(
    private readonly client: Client,
    private readonly text: string,
  ) {
    this.loop = this.readOn();
    this.loop.catch(() => undefined);
  }

  /** Runs `work`, and records reads during it under `name`. */
  async during<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.current = name;
    try {
      return await work();
    } finally {
      this.current = undefined;
    }
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    try {
      await this.loop;
    } finally {
      await this.client.end();
    }
  }

  private async readOn(): Promise<void> {
    while (!this.isStopped) {
      const startedAtMs = performance.now();
      const before = this.current;
      await this.client.query(this.text);
      const name = before ?? this.current;
      if (name !== undefined) {
        const waitedMs = performance.now() - startedAtMs;
        this.longestWaitsMs.set(name, Math.max(waitedMs, this.longestWaitsMs.get(name) ?? 0));
      }
      await pause(PAUSE_MS);
    }
  }
}
