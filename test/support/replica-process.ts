import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import type { RefreshOptions } from '../../lib/index.js';
import { requireBuild } from './build.js';

export interface ReplicaOptions {
  /** How far the process's clock is off. */
  clockOffsetMs?: number;
  /** Module options. They are passed as JSON. */
  module?: Record<string, unknown>;
  cron?: string;
  /** The query of the view `ticking`, if not the default one. */
  expression?: string;
  version?: number;
  /** Whether to refresh `ticking` once booted. The process then prints the outcome. */
  refresh?: boolean;
  /** Whether only the library may keep `refresher.ts` alive. */
  isIdle?: boolean;
  /** Options of the refreshes that `refresher.ts` requests in a loop. Without them, it refreshes after writes. */
  demands?: Pick<RefreshOptions, 'mode'>;
}

/** The result of a refresh that a test requested with `{ count, row }`. */
export interface Requested {
  outcome: string;
  runId: string;
  /** Whether the view had the row once the request was done. */
  isCovered: boolean;
}

/** A separate process that runs the application in `replica.ts`. */
export class Replica {
  /** @param program the program to run instead of `replica.ts` */
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

  /** Resolves when the process has printed the line. Rejects if it exits before. */
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
   * Sends a request to the program, and resolves to its answer.
   *
   * @throws Error when the program exits before it answers
   */
  async ask<Answer = unknown>(request: Record<string, unknown>): Promise<Answer> {
    const id = ++this.askedCount;
    const answer = new Promise<Answer>((resolve) => {
      this.waiting.set(id, resolve as (answer: unknown) => void);
    });
    // Ignores the error if the process has exited: `ended` rejects then.
    this.child.send({ ...request, id }, () => undefined);
    const ended = this.exit.then((code) => {
      throw new Error(`The replica ended with ${code} before it answered:\n${this.errors}`);
    });
    return Promise.race([answer, ended]);
  }

  /** Sends a signal without waiting. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Sends SIGTERM, and resolves to the exit code or the signal that ended the process. */
  async stop(): Promise<number | string> {
    this.child.kill('SIGTERM');
    return this.exit;
  }

  /** Sends SIGKILL, and waits for the process to exit. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit;
  }

  get stderr(): string {
    return this.errors;
  }
}
