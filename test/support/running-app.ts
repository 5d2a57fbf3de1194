import type { TestingModule } from '@nestjs/testing';
import type { ViewDefinition } from '../../lib/definition/view-definition.js';
import type { ManagedDataSource } from '../../lib/engine/managed-data-source.js';
import type { QualifiedName } from '../../lib/postgres/identifier.js';
import { tickRequest } from '../../lib/refresh/occasions.js';
import { ChangeWatch } from '../../lib/schedule/change-watch.js';
import type { Release } from './freshness-history.js';
import { checkLook } from './look-check.js';
import { managed } from './managed.js';

/** A running application that polls for changes only when a test tells it to. */
export class RunningApp {
  readonly definitions: readonly ViewDefinition[];
  refreshCount = 0;
  private readonly source: ManagedDataSource;
  private readonly watch: ChangeWatch;

  constructor(
    readonly module: TestingModule,
    readonly release: Release,
  ) {
    this.source = managed(module);
    this.definitions = this.source.views.all();
    const { runner } = this.source.refresher;
    const run = runner.run.bind(runner);
    runner.run = async (request) => {
      const result = await run(request);
      this.refreshCount += result.outcome === 'refreshed' ? 1 : 0;
      return result;
    };
    // Retries a failed view at the next poll.
    const options = { ...this.source.options, sweepIntervalMs: 0 };
    const context = Object.create(this.source, {
      options: { value: options },
    }) as ManagedDataSource;
    this.watch = new ChangeWatch(context, runner, this.source.tracking.changeLog);
  }

  get mayCreate(): boolean {
    return this.release.synchronize === true || this.release.synchronize === 'create';
  }

  declares(view: QualifiedName): ViewDefinition | undefined {
    return this.definitions.find(
      ({ name }) => name.schema === view.schema && name.name === view.name,
    );
  }

  /** Polls once, waits for the refreshes that it started, and returns the number of successful ones. */
  async look(): Promise<number> {
    const before = this.refreshCount;
    // The same condition as in `ChangePoller.start`.
    if (this.definitions.some(isWatched)) {
      // Don't wait for views that another process has just refreshed.
      this.watch['refresher']['heldUntilMs'].clear();
      await this.checkLook();
      await this.watch['beginDue']();
      const underWay = this.watch['refresher']['underWay'];
      while (underWay.size > 0) {
        await Promise.all(underWay.values());
      }
      await this.untilRepaired();
    }
    return this.refreshCount - before;
  }

  private async checkLook(): Promise<void> {
    const memory = this.watch['memory'];
    const { database } = this.source;
    await database.bookkeeping((session) =>
      checkLook(session, memory, database.stateSchema, memory['definitions']),
    );
  }

  /** Repairs the capture triggers as if the last repair was long ago. */
  async repair(): Promise<void> {
    const keeper = this.source.tracking.captures;
    keeper['repairs']['lastAtMs'] = -Infinity;
    keeper['waits'].keepOnly([]);
    keeper.maybeRepair();
    await this.untilRepaired();
  }

  async tick(definition: ViewDefinition): Promise<string> {
    const result = await this.source.refresher.runner.run(tickRequest(definition, new Date()));
    await this.untilRepaired();
    return result.outcome === 'skipped' ? result.reason : result.outcome;
  }

  private async untilRepaired(): Promise<void> {
    await this.source.tracking.captures.untilIdle();
  }
}

const isWatched = ({ freshness }: ViewDefinition): boolean =>
  freshness?.onWrite !== undefined || freshness?.maxStalenessMs !== undefined;
