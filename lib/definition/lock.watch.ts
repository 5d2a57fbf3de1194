import { groupedBy } from './grouped-by.js';
import { changeLogLockKey, refreshLockKey, syncLockKey } from '../postgres/advisory-lock.js';
import { type LockHolderRow, selectLockHolders } from '../postgres/advisory-lock.sql.js';
import { displayNames, type QualifiedName } from '../postgres/identifier.js';
import type { DataSourceContext } from './data-source.context.js';
import {
  describeHolder,
  isWrong,
  type LockHolder,
  lockHolder,
  type LockUse,
  releaseHint,
} from './lock-holder.js';
import { Upkeep } from './upkeep.js';

/** How often, at most, a process checks who holds locks that it couldn't get. */
const INTERVAL_MS = 10_000;

/** How long one transaction works on the change log, at most. */
const CHANGE_LOG_LIMIT_MS = 60_000;

/** The maximum number of views named. */
const SHOWN_COUNT = 10;

/** A lock with its holder. */
interface HeldLock {
  key: string;
  /** Stays the same as long as the holder does. */
  id: string;
  holder: LockHolder;
}

/**
 * Finds out who holds the library's advisory locks. Anyone who may connect can take them, and a refresh that finds its
 * lock taken is skipped silently. So whatever can't get a lock calls this, which warns once about a holder that isn't
 * the library's or holds the lock for too long.
 */
export class LockWatch {
  private readonly upkeep: Upkeep;
  /** When each holder of each lock was first seen, by `performance.now()`. */
  private readonly seenAtMs = new Map<string, number>();
  private readonly told = new Set<string>();

  constructor(
    private readonly context: Pick<DataSourceContext, 'database' | 'views' | 'options' | 'log'>,
  ) {
    this.upkeep = new Upkeep({
      intervalMs: INTERVAL_MS,
      complaint: 'Could not find out who holds the refresh locks.',
      work: async () => {
        await this.look();
        return undefined;
      },
      log: context.log,
    });
  }

  /**
   * Call it when a lock could not be taken. It checks in the background, from time to time. Never
   * throws.
   */
  maybeLook(): void {
    this.upkeep.maybeDo();
  }

  /** Checks repeatedly while `work` waits for a lock. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => this.maybeLook(), INTERVAL_MS).unref();
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  /** Begins no more checks, and waits a short time for a running one. */
  stop(): Promise<void> {
    return this.upkeep.stop();
  }

  /** Warns, once each, about holders without a good reason to hold a lock of the library. */
  async look(): Promise<void> {
    const held = await this.read();
    const ids = new Set(held.map(({ id }) => id));
    [...this.seenAtMs.keys()].filter((id) => !ids.has(id)).forEach((id) => this.forget(id));
    const untold = held.filter(({ id, holder }) => isWrong(holder) && !this.told.has(id));
    for (const [, locks] of groupedBy(untold, ({ holder }) => describeHolder(holder))) {
      this.warn(locks);
    }
    untold.forEach(({ id }) => this.told.add(id));
  }

  /**
   * Who holds a lock now, as in "It is held by ..."; empty if no one does or it can't be found out.
   */
  async describe(key: string): Promise<string> {
    const held = await this.read().catch(() => []);
    const holders = held.filter((each) => each.key === key).map(({ holder }) => holder);
    const hints = holders.filter(isWrong).map(releaseHint);
    return holders.length === 0
      ? ''
      : [` It is held by ${holders.map(describeHolder).join(' and by ')}.`, ...hints].join(' ');
  }

  /** Describes the holder of a refresh lock. */
  holderOf(row: LockHolderRow, seenForMs?: number): LockHolder {
    return lockHolder(row, this.useOf(row.key), seenForMs);
  }

  private async read(): Promise<HeldLock[]> {
    const views = this.context.views.all().map(({ name }) => refreshLockKey(name));
    const keys = [...views, syncLockKey(), changeLogLockKey()];
    const rows = await this.context.database.bookkeeping((session) =>
      session.query<LockHolderRow>(selectLockHolders(keys, syncLockKey())),
    );
    const nowMs = performance.now();
    return rows.filter(isItsMainLock).map((row) => {
      const id = [row.key, row.backend_pid, row.prepared_gid].join(' ');
      const seenAtMs = this.seenAtMs.get(id) ?? nowMs;
      this.seenAtMs.set(id, seenAtMs);
      return { key: row.key, id, holder: this.holderOf(row, nowMs - seenAtMs) };
    });
  }

  private forget(id: string): void {
    this.seenAtMs.delete(id);
    this.told.delete(id);
  }

  private warn(locks: readonly HeldLock[]): void {
    const [first] = locks;
    if (first === undefined) {
      return;
    }
    const keys = new Set(locks.map(({ key }) => key));
    const views = this.context.views.all().map(({ name }) => name);
    const stopped = stoppedBy(
      keys,
      views.filter((name) => keys.has(refreshLockKey(name))),
    );
    const forLong = first.holder.isForeign ? '' : ' for too long';
    this.context.log.warn(
      `${stopped.join('; ')}: the lock for that is held${forLong} by ${describeHolder(first.holder)}. ${releaseHint(first.holder)}`,
    );
  }

  private useOf(key: string): LockUse {
    const { statementTimeoutMs, lockTimeoutMs, syncTimeoutMs } = this.context.options;
    switch (key) {
      case syncLockKey():
        return { locksRelations: false, limitMs: syncTimeoutMs };
      case changeLogLockKey():
        return { locksRelations: false, limitMs: CHANGE_LOG_LIMIT_MS };
      default:
        return { locksRelations: true, limitMs: (statementTimeoutMs || Infinity) + lockTimeoutMs };
    }
  }
}

/** A schema change holds the locks of its views besides its own. */
function isItsMainLock({ key, changes_schema: changesSchema }: LockHolderRow): boolean {
  return !changesSchema || key === syncLockKey();
}

/** What can't be done meanwhile. */
function stoppedBy(keys: ReadonlySet<string>, views: readonly QualifiedName[]): string[] {
  return [
    ...(views.length > 0
      ? [`Materialized view${views.length > 1 ? 's' : ''} ${listed(views)} cannot be refreshed`]
      : []),
    ...(keys.has(syncLockKey()) ? ['Views cannot be created or changed'] : []),
    ...(keys.has(changeLogLockKey()) ? ['The change log cannot be compacted'] : []),
  ];
}

function listed(views: readonly QualifiedName[]): string {
  const more = views.length - SHOWN_COUNT;
  return `${displayNames(views.slice(0, SHOWN_COUNT))}${more > 0 ? ` and ${more} more` : ''}`;
}
