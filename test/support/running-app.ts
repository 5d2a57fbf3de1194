import type { TestingModule } from '@nestjs/testing';
import { DataSourceRegistry } from '../../lib/definition/data-source.registry.js';
import { DefinitionRegistry } from '../../lib/definition/definition.registry.js';
import type { ViewDefinition } from '../../lib/definition/view-definition.js';
import type { Database } from '../../lib/postgres/database.js';
import type { QualifiedName } from '../../lib/postgres/identifier.js';
import { ChangeLogKeeper } from '../../lib/refresh/change-log.keeper.js';
import { tickRequest } from '../../lib/refresh/refresh-request.js';
import { RefreshRunner } from '../../lib/refresh/refresh.runner.js';
import { ChangeWatch } from '../../lib/schedule/change-watch.js';
import { CaptureKeeper } from '../../lib/schema/capture.keeper.js';
import type { Release } from './freshness-history.js';

/** A running application, which looks for changes when it is told to. */
export class RunningApp {
  readonly definitions: ViewDefinition[];
  refreshCount = 0;
  private readonly watch: ChangeWatch;

  constructor(
    readonly module: TestingModule,
    readonly release: Release,
  ) {
    this.definitions = module.get(DefinitionRegistry).in('default');
    const runner = module.get(RefreshRunner);
    const run = runner.run.bind(runner);
    runner.run = async (request) => {
      const result = await run(request);
      this.refreshCount += result.outcome === 'refreshed' ? 1 : 0;
      return result;
    };
    this.watch = new ChangeWatch({
      dataSourceName: 'default',
      database: this.database,
      definitions: this.definitions,
      runner,
      changeLog: module.get(ChangeLogKeeper),
      failureHoldMs: 0,
    });
  }

  private get database(): Database {
    return this.module.get(DataSourceRegistry).get('default');
  }

  get mayCreate(): boolean {
    return this.release.synchronize === true || this.release.synchronize === 'create';
  }

  declares(view: QualifiedName): ViewDefinition | undefined {
    return this.definitions.find(
      ({ name }) => name.schema === view.schema && name.name === view.name,
    );
  }

  /** Looks as the watch does, and resolves when all that it began has ended. */
  async look(): Promise<number> {
    const before = this.refreshCount;
    // As `start` decides; a watch of no such view never looks.
    if (this.definitions.some(isWatched)) {
      // Those that another process refreshed a moment ago.
      this.watch['refresher']['heldUntilMs'].clear();
      await this.watch['beginDue']();
      const underWay = this.watch['refresher']['underWay'];
      while (underWay.size > 0) {
        await Promise.all(underWay.values());
      }
      await this.untilRepaired();
    }
    return this.refreshCount - before;
  }

  /** Repairs as if the last time was long ago. */
  async repair(): Promise<void> {
    const keeper = this.module.get(CaptureKeeper);
    keeper['repairs']['lastAtMs'].clear();
    keeper.maybeRepair('default');
    await this.untilRepaired();
  }

  async tick(definition: ViewDefinition): Promise<string> {
    const result = await this.module.get(RefreshRunner).run(tickRequest(definition, new Date()));
    await this.untilRepaired();
    return result.outcome === 'skipped' ? result.reason : result.outcome;
  }

  private async untilRepaired(): Promise<void> {
    const keeper = this.module.get(CaptureKeeper);
    await Promise.all([...keeper['repairs']['active'], ...keeper['reminders']['active']]);
  }
}

const isWatched = ({ freshness }: ViewDefinition): boolean =>
  freshness?.onWrite !== undefined || freshness?.maxStalenessMs !== undefined;
