import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { messageOf } from '../errors/error-message.js';
import { nextLookAfterErrorInMs } from './look-interval.js';
import type { NotificationClient } from '../postgres/notification-client.js';
import { notify, wakeUpChannel } from '../postgres/wake-up.sql.js';
import type { ChangeWatch } from './change-watch.js';
import { RareWarning } from './rare-warning.js';

/** How long a notification may take to arrive. */
const PROOF_TIMEOUT_MS = 5_000;

const POLLING = 'the process polls for changes, up to 2.5 s later, and misses none';

/**
 * Wakes the watch of one data source when something is written. Nothing depends on it, because the watch also
 * polls.
 *
 * Its states: connecting -> proving -> listening. When the connection is lost, from each of them -> waiting ->
 * connecting. When notifications never arrive, from proving -> given up.
 */
export class WakeUpListener {
  private readonly stopping = new AbortController();
  private client?: NotificationClient;
  /** Whether a test notification has ever arrived. If so, a missing one is not the fault of a pooler. */
  private hasHeard = false;
  private waitMs = 0;
  private readonly rareWarning: RareWarning;

  constructor(
    private readonly context: DataSourceContext,
    private readonly watch: Pick<ChangeWatch, 'wake'>,
  ) {
    this.rareWarning = new RareWarning(context.log);
  }

  start(): void {
    void this.run();
  }

  /** Ends the connection, and opens no other. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.client?.close();
  }

  private async run(): Promise<void> {
    while (!this.isStopped) {
      try {
        await this.listen();
        this.giveUp();
        return;
      } catch (error) {
        this.waitMs = nextLookAfterErrorInMs(this.waitMs, Math.random());
        this.warn(error);
        await this.pause(this.waitMs);
      }
    }
  }

  /**
   * Listens for as long as the connection holds.
   *
   * @returns if a test notification doesn't arrive and none ever has
   * @throws Error if the connection is lost or can't be opened
   */
  private async listen(): Promise<void> {
    const { database } = this.context;
    const probe = `mv_probe_${randomUUID()}`;
    const probed = new AbortController();
    this.client = database.notificationClient((channel) =>
      channel === probe ? probed.abort() : this.watch.wake(),
    );
    const lost = this.client.ended.then((cause) => Promise.reject<never>(cause));
    lost.catch(() => undefined);
    try {
      await this.client.connect();
      const isHeard = await Promise.race([this.prove(this.client, probe, probed.signal), lost]);
      if (isHeard) {
        await this.client.allowIdleness();
        await this.client.listen(wakeUpChannel(database.stateSchema));
        this.nowListens();
        return await lost;
      }
      if (this.hasHeard) {
        throw new Error('a test notification did not arrive');
      }
    } finally {
      await this.client.close();
    }
  }

  /**
   * Whether notifications arrive. A pooler may accept LISTEN and then give the server's session to another client,
   * so a test notification is sent from another session. It has its own channel: if the pooler kept the LISTEN on
   * some session, the common channel would disturb the next client of that session.
   */
  private async prove(
    client: NotificationClient,
    probe: string,
    probed: AbortSignal,
  ): Promise<boolean> {
    await client.listen(probe);
    await this.context.database.bookkeeping((session) => session.query(notify(probe)));
    await this.pause(PROOF_TIMEOUT_MS, probed);
    return probed.aborted;
  }

  private nowListens(): void {
    this.hasHeard = true;
    this.waitMs = 0;
    // This process was not notified of earlier writes.
    this.watch.wake();
  }

  private async pause(ms: number, until = this.stopping.signal): Promise<void> {
    await sleep(ms, undefined, { ref: false, signal: until }).catch(() => undefined);
  }

  private get isStopped(): boolean {
    return this.stopping.signal.aborted;
  }

  private giveUp(): void {
    if (!this.isStopped) {
      this.context.log.warn(
        `Notifications do not arrive from data source "${this.context.name}": a pooler in between keeps no sessions, such as PgBouncer in transaction mode. Until this process is restarted, ${POLLING}. Connect to the server directly, or set \`wakeUp: 'poll'\`: writers pay for notifications that nobody receives.`,
      );
    }
  }

  private warn(error: unknown): void {
    if (!this.isStopped) {
      this.rareWarning.warn(
        `Notifications of writes in data source "${this.context.name}" are not received, and the next attempt is in ${Math.round(this.waitMs)} ms; until then ${POLLING}: ${messageOf(error)}`,
      );
    }
  }
}
