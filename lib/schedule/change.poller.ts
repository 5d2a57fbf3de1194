import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { ChangeLogKeeper } from '../tracking/change-log.keeper.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import { ChangeWatch } from './change-watch.js';
import { WakeUpListener } from './wake-up.listener.js';

/** Refreshes views with `on` or `maxStaleness` when what they read is written. */
export class ChangePoller {
  private watch?: ChangeWatch;
  private listener?: WakeUpListener;

  constructor(
    private readonly context: DataSourceContext,
    private readonly runner: RefreshRunner,
    private readonly changeLog: ChangeLogKeeper,
  ) {}

  /** Whether there are such views. */
  get isNeeded(): boolean {
    return this.context.views.all().some(isWatched);
  }

  /** Starts again after a `stop`, as if it had never polled. */
  start(): void {
    if (!this.isNeeded) {
      return;
    }
    this.watch = new ChangeWatch(this.context, this.runner, this.changeLog);
    this.watch.start();
    if (this.context.options.wakeUp === 'notify') {
      this.listener = new WakeUpListener(this.context, this.watch);
      this.listener.start();
    }
  }

  /** Stops polling for changes. Running refreshes go on. */
  async stop(): Promise<void> {
    await Promise.all([this.listener?.stop(), this.watch?.stop()]);
  }
}

function isWatched({ freshness }: ViewDefinition): boolean {
  return freshness?.onWrite !== undefined || freshness?.maxStalenessMs !== undefined;
}
