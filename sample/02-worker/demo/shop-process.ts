import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** A worker or a web process. Its output is printed with its name. */
export class ShopProcess {
  /** Resolves when the process prints that it is up. */
  static async start(name: string, program: 'worker.ts' | 'web.ts'): Promise<ShopProcess> {
    const child = spawn(
      process.execPath,
      [
        '--import',
        '@swc-node/register/esm-register',
        path.join(import.meta.dirname, '..', program),
      ],
      { env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    process.once('exit', () => child.kill('SIGKILL'));
    return new ShopProcess(child, await untilUp(name, child));
  }

  /** @param url where it listens; empty for the worker */
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Sends SIGTERM, and waits for the process to exit. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  /** Sends SIGKILL, and waits for the process to exit. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, 'exit');
      this.child.kill(signal);
      await exited;
    }
  }
}

async function untilUp(name: string, child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      console.log(`         ${name.padEnd(8)} ${line.trim()}`);
      const url = /^(?:Scheduling|Listening on (\S+))$/.exec(line);
      if (url !== null) {
        resolve(url[1] ?? '');
      }
    });
  });
}
