import type { DataSourceContext } from '../definition/data-source.context.js';
import { MaterializedViewEvents } from '../definition/materialized-view.events.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { displayName } from '../postgres/identifier.js';
import { sentenceCase } from '../postgres/view-kind.js';
import { describeUnpruned } from './holders.js';
import type { Prepared } from './preparation.js';
import type { SchemaDiff } from './schema-diff.js';
import {
  failedReports,
  isDrifted,
  publishReport,
  reportsOf,
  type SyncReport,
  unchangedReports,
  type ViewReport,
} from './sync-report.js';

/** What was just done to views, by name. */
type MadeBefore = ReadonlyMap<string, ViewReport>;

function withMade(reports: ViewReport[], made: MadeBefore): ViewReport[] {
  return reports.map((each) =>
    each.outcome === 'unchanged' ? (made.get(each.view) ?? each) : each,
  );
}

/** Reports a synchronisation in log, channel and events. */
export class SyncReporter {
  constructor(
    private readonly context: Pick<
      DataSourceContext,
      'name' | 'application' | 'views' | 'log' | 'events'
    >,
  ) {}

  /** Everything is as remembered. */
  unchanged<Remembered extends { diff: SchemaDiff; withoutKey: ViewDefinition[] }>(
    remembered: Remembered,
    made: MadeBefore,
    startedAtMs: number,
  ): Remembered & { report: SyncReport } {
    const reports = withMade(unchangedReports(remembered.diff), made);
    return { ...remembered, report: this.publish(reports, startedAtMs) };
  }

  carriedOut(prepared: Prepared, made: MadeBefore, startedAtMs: number): SyncReport {
    const reports = withMade(reportsOf(prepared, this.context.views.all()), made);
    this.dropped(reports, prepared.diff);
    return this.publish(reports, startedAtMs);
  }

  /** Nothing has been changed. */
  failed(error: unknown, startedAtMs: number): void {
    publishReport(this.context.name, failedReports(this.context.views.all(), error), startedAtMs);
  }

  /** Warns about views that a plan should prune but must leave. */
  unpruned({ diff, plan }: Prepared): void {
    const unpruned = describeUnpruned(diff.orphans, this.context.application);
    if (plan.policy.prune && unpruned !== undefined) {
      this.context.log.warn(unpruned);
    }
  }

  private dropped(reports: readonly ViewReport[], { orphans }: SchemaDiff): void {
    for (const { view, outcome, reason } of reports) {
      if (outcome === 'dropped') {
        const orphan = orphans.find(({ name }) => displayName(name) === view);
        const noun = sentenceCase(orphan?.kind.noun ?? 'view');
        this.context.log.warn(`${noun} "${view}" was dropped: ${reason}`);
      }
    }
  }

  private publish(reports: ViewReport[], startedAtMs: number): SyncReport {
    const report = publishReport(this.context.name, reports, startedAtMs);
    const event = isDrifted(report) ? 'schemaDrifted' : 'schemaSynced';
    this.context.events.publish(MaterializedViewEvents[event], report);
    return report;
  }
}
