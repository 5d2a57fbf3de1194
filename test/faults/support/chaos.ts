import { setTimeout as pause } from 'node:timers/promises';
import type { FaultServer } from '../../support/fault-server.js';
import type { Network } from '../../support/network.js';
import type { Replica } from '../../support/replica-process.js';
import { EVERY_SECOND, type Ledger } from './ledger.js';
import type { Random } from '../../support/random.js';

/** A random backend that the library is using in a replica. Leaves out idle ones, such as TypeORM's. */
const A_BACKEND = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND application_name LIKE 'replica %' AND state <> 'idle'
  ORDER BY random() LIMIT 1`;

/** Injects random faults into a ledger's processes, their network and the server, one after another. */
export class Chaos {
  readonly counts: Record<string, number> = {};
  private isOver = false;

  constructor(
    private readonly ledger: Ledger,
    private readonly server: FaultServer,
    private readonly network: Network,
    private readonly random: Random,
  ) {}

  private readonly faults: Record<string, () => Promise<void> | void> = {
    'replica killed and started': () => this.killReplica(),
    'replica stopped and continued': () => this.stopReplica(),
    'event loop blocked': () =>
      this.askSomeone({ do: 'block', ms: this.random.between(500, 2_500) }),
    'clock moved': () =>
      this.askSomeone({ do: 'shiftClock', ms: this.random.between(-3_000, 3_000) }),
    'backend terminated': () => this.toBackend('pg_terminate_backend'),
    'backend cancelled': () => this.toBackend('pg_cancel_backend'),
    'network cut': () => this.network.cut(),
    'network slow and resetting': () =>
      this.whileNetwork(() => this.network.degrade({ delayMs: 100, resetProbability: 0.05 })),
    'network a black hole': () =>
      this.whileNetwork(() => this.network.goSilent({ except: 0, newOnesToo: true })),
    'table locked': () => this.lockTable(),
    'server restarted (fast)': () => this.restart('fast'),
    'server restarted (immediate)': () => this.restart('immediate'),
  };

  /** Half of the processes reach the server through the faulty network. */
  async start(replicaCount: number): Promise<void> {
    await Promise.all(
      Array.from({ length: replicaCount }, (_, index) => this.ledger.start(this.options(index))),
    );
  }

  /** Injects faults for this time, while writes and refreshes on demand continue. */
  async rage(durationMs: number, afterEach: () => Promise<void>): Promise<void> {
    const endsAtMs = Date.now() + durationMs;
    const traffic = [this.write(), this.demand()];
    while (Date.now() < endsAtMs) {
      const fault = this.random.of(Object.keys(this.faults));
      this.count(fault);
      await this.faults[fault]?.();
      await pause(this.random.between(100, 1_500));
      await afterEach();
    }
    this.isOver = true;
    this.network.recover();
    await Promise.all(traffic);
  }

  private options(index: number): Parameters<Ledger['start']>[0] {
    const url = index % 2 === 0 ? this.network.url : undefined;
    return { cron: EVERY_SECOND, module: { lockTimeout: '2s' }, ...(url && { url }) };
  }

  private get someone(): Replica {
    return this.random.of(this.ledger.replicas);
  }

  private async killReplica(): Promise<void> {
    const killed = this.someone;
    this.ledger.forget(killed);
    await killed.kill();
    await this.ledger.start(this.options(this.random.between(0, 1)));
  }

  private async stopReplica(): Promise<void> {
    const stopped = this.someone;
    stopped.signal('SIGSTOP');
    await pause(this.random.between(500, 3_000));
    stopped.signal('SIGCONT');
  }

  private async askSomeone(request: { do: string; ms: number }): Promise<void> {
    await this.someone.ask(request);
  }

  private async toBackend(what: string): Promise<void> {
    await this.ledger.database.query(`SELECT ${what}(pid) FROM (${A_BACKEND}) AS backend`);
  }

  private async whileNetwork(goWrong: () => void): Promise<void> {
    goWrong();
    await pause(this.random.between(500, 3_000));
    this.network.recover();
  }

  private async lockTable(): Promise<void> {
    const session = await this.ledger.database.session();
    await session.query('BEGIN; LOCK TABLE public.entries IN ACCESS EXCLUSIVE MODE');
    await pause(this.random.between(500, 3_000));
    await session.end();
  }

  private async restart(mode: 'fast' | 'immediate'): Promise<void> {
    await this.server.restart(mode);
    await this.ledger.database.reconnect();
  }

  private async write(): Promise<void> {
    while (!this.isOver) {
      // The server may be down.
      await this.ledger.transfer().catch(() => undefined);
      await pause(50);
    }
  }

  private async demand(): Promise<void> {
    while (!this.isOver) {
      // Doesn't use the seeded numbers: how often this runs is not repeatable, and would change the sequence of faults.
      const { replicas } = this.ledger;
      const replica = replicas[Math.floor(Math.random() * replicas.length)];
      const asked = replica?.ask<{ outcome: string }>({ do: 'refresh' }).then(
        ({ outcome }) => this.count(`on demand: ${outcome}`),
        () => this.count('on demand: killed meanwhile'),
      );
      // Doesn't wait for a stalled process, which answers later.
      await Promise.race([asked, pause(1_000)]);
      await pause(200);
    }
  }

  private count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
