import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import type { RefreshOptions } from '../../lib/index.js';
import { requireBuild } from './build.js';

export interface ReplicaOptions {
  /** How far the clock, and with it every timer, of the process is off. */
  clockOffsetMs?: number;
  /** Options of the module, as JSON. */
  module?: Record<string, unknown>;
  cron?: string;
  /** The query of the view `ticking` and its version, where they are not the usual ones. */
  expression?: string;
  version?: number;
  /** Has `ticking` refreshed once the process has booted; says `refreshed` then. */
  refresh?: boolean;
  /** Whether nothing but the library keeps `refresher.ts` alive. */
  isIdle?: boolean;
  /** How `refresher.ts` demands refreshes, again and again; otherwise it watches for writes. */
  demands?: Pick<RefreshOptions, 'mode'>;
}

/** What became of a request to refresh that a replica was asked for by `{ count, row }`. */
export interface Requested {
  outcome: string;
  runId: string;
  /** Whether the view had the row as soon as the request was done. */
  isCovered: boolean;
}

/** A process of its own that runs the application in `replica.ts`. */
export class Replica {
  /** @param program what it runs, where that is not `replica.ts` */
  static start(
    databaseUrl: string,
    options: ReplicaOptions = {},
    program = 'test/support/replica.ts',
  ): Replica {
    requireBuild();
    return new Replica(
      spawn(
        process.execPath,
        ['--import', './test/support/typescript-loader.mjs', path.resolve(program)],
        {
          stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
          env: {
            ...process.env,
            NODE_OPTIONS: '',
            REPLICA_DATABASE_URL: databaseUrl,
            REPLICA_OPTIONS: JSON.stringify(options),
          },
        },
      ),
    );
  }

  private readonly lines = new Set<string>();
  private readonly exit: Promise<number | string>;
  private errors = '';
  private askedCount = 0;
  private readonly waiting = new Map<number, (answer: unknown) => void>();

  private constructor(private readonly child: ChildProcess) {
    child.stderr?.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
    this.exit = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
    child.on('message', ({ id, answer }: { id: number; answer: unknown }) => {
      this.waiting.get(id)?.(answer);
      this.waiting.delete(id);
    });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.lines.add(line);
      child.emit('said', line);
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves when the process has printed the line. */
  async until(line: string): Promise<void> {
    while (!this.lines.has(line)) {
      const ended = this.exit.then((code) => {
        throw new Error(`The replica ended with ${code}:\n${this.errors}`);
      });
      await Promise.race([once(this.child, 'said'), ended]);
    }
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /**
   * Has the program do something, and resolves to its answer.
   *
   * @throws Error when the program ends before it has answered
   */
  async ask<Answer = unknown>(request: Record<string, unknown>): Promise<Answer> {
    const id = ++this.askedCount;
    const answer = new Promise<Answer>((resolve) => {
      this.waiting.set(id, resolve as (answer: unknown) => void);
    });
    // Where it is gone, its exit tells.
    this.child.send({ ...request, id }, () => undefined);
    const ended = this.exit.then((code) => {
      throw new Error(`The replica ended with ${code} before it answered:\n${this.errors}`);
    });
    return Promise.race([answer, ended]);
  }

  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Asks the process to stop, and resolves to its exit code or the signal that ended it. */
  async stop(): Promise<number | string> {
    this.child.kill('SIGTERM');
    return this.exit;
  }

  /** Ends the process at once; it cannot do a thing about it. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
  }

  /** What the process wrote to its error stream. */
  get stderr(): string {
    return this.errors;
  }
}
