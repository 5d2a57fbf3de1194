import type { SyncPolicy } from '../definition/module.options.js';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { messageOf } from '../errors/error-message.js';
import { ForeignStateSchemaError } from '../errors/schema.errors.js';
import { displayName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { MATERIALIZED, sentenceCase, type ViewKind } from '../postgres/view-kind.js';
import type { CaptureKeeper } from '../tracking/capture.keeper.js';
import { describeIdle, describePostponed } from '../tracking/capture-warnings.js';
import { BatchedCreation } from './batched-creation.js';
import { refuseForeignState } from './foreign-state.js';
import { orphanAdvice } from './holders.js';
import { describeWithoutKey } from './refresh-keys.js';
import { describeStandbyReaders, hasStandbys, stopsReaders } from './standby-readers.js';
import type { SchemaDiff } from './schema-diff.js';
import type { SchemaSynchronizer, Synchronized } from './schema.synchronizer.js';
import type { SyncReport } from './sync-report.js';
import { describeUnrecorded, readUnrecorded } from './unsynchronized-boot.js';

const FOREIGN_STATE_TIMEOUT_MS = 10_000;

/** What a boot does with the schema of a data source, by the policy in the module's options. */
export class SchemaBoot {
  constructor(
    private readonly context: DataSourceContext,
    private readonly synchronizer: SchemaSynchronizer,
    private readonly captures: CaptureKeeper,
  ) {}

  async boot(): Promise<void> {
    await (this.context.options.syncPolicy.synchronize === false
      ? this.look()
      : this.synchronize());
    await this.warnOfStandbys();
  }

  /**
   * The check for a process that uses the library's own tables without a boot.
   *
   * @throws ForeignStateSchemaError if another role owns any of them
   */
  async refuseForeignState(): Promise<void> {
    await this.context.database.reading(FOREIGN_STATE_TIMEOUT_MS, (session) =>
      this.refuseForeign(session),
    );
  }

  private refuseForeign(session: Session): Promise<void> {
    const { stateSchema } = this.context.database;
    return refuseForeignState(session, stateSchema, { mayBeAnothers: true });
  }

  private async synchronize(): Promise<void> {
    const { syncPolicy } = this.context.options;
    const { report, diff, postponed, withoutKey } = await this.carryOut(syncPolicy);
    this.log(report, diff);
    if (postponed !== undefined) {
      this.context.log.warn(describePostponed(postponed));
      this.captures.finishLater();
    }
    const idle = describeIdle(diff.others, syncPolicy);
    if (idle !== undefined) {
      this.context.log.warn(idle);
    }
    if (withoutKey.length > 0) {
      this.context.log.warn(describeWithoutKey(withoutKey));
    }
  }

  private carryOut(policy: SyncPolicy): Promise<Synchronized> {
    const { context, synchronizer } = this;
    return BatchedCreation.before({ context, policy, synchronizer }, (made) =>
      synchronizer.carryOut(policy, undefined, made),
    );
  }

  private async warnOfStandbys(): Promise<void> {
    const { database, views } = this.context;
    const stopping = views.all().filter(stopsReaders);
    if (stopping.length > 0 && (await hasStandbys(database))) {
      this.context.log.warn(describeStandbyReaders(stopping));
    }
  }

  /** Best effort: a process that changes nothing must boot even if it may not read the catalog. */
  private async look(): Promise<void> {
    const { name, database, views } = this.context;
    try {
      const unrecorded = await this.synchronizer.within(
        async (session) => {
          await this.refuseForeign(session);
          return readUnrecorded(session, database.stateSchema, views.all());
        },
        { isReadOnly: true },
      );
      if (unrecorded.length > 0) {
        this.context.log.warn(describeUnrecorded(unrecorded));
      }
    } catch (error) {
      if (error instanceof ForeignStateSchemaError) {
        throw error;
      }
      this.context.log.warn(
        `Could not read which changes the materialized views of data source "${name}" track: ${messageOf(error)}`,
      );
    }
  }

  private kindOf(view: string): ViewKind {
    return this.context.views.named(view)?.kind ?? MATERIALIZED;
  }

  private named(view: string): string {
    return `${sentenceCase(this.kindOf(view).noun)} "${view}"`;
  }

  private log({ views, dataSource, durationMs }: SyncReport, { orphans }: SchemaDiff): void {
    const byName = new Map(orphans.map((orphan) => [displayName(orphan.name), orphan]));
    for (const { view, outcome, reason } of views) {
      if (outcome === 'skipped') {
        this.context.log.warn(
          `${this.named(view)} is not as declared, and was left as it is: ${reason}`,
        );
      } else if (outcome === 'orphaned') {
        const orphan = byName.get(view);
        this.context.log.warn(
          `${sentenceCase(orphan?.kind.noun ?? 'view')} "${view}" was created by this library, and ${reason}. ${orphan ? orphanAdvice(orphan, this.context.application) : ''}`,
        );
      } else if (outcome !== 'unchanged' && outcome !== 'dropped') {
        this.context.log.log(
          outcome === 'created'
            ? `Created ${this.kindOf(view).noun} "${view}"`
            : `${this.named(view)}: ${outcome} (${reason})`,
        );
      }
    }
    this.context.log.debug(
      `Synchronised data source "${dataSource}" in ${Math.round(durationMs)} ms`,
    );
  }
}
