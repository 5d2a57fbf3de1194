import { Inject, Injectable, Logger } from '@nestjs/common';
import { RefreshService } from '../engine/refresh.service.js';
import type { ViewName } from './readings.js';

export const ACTIONS = ['refresh', 'cancel', 'pause', 'resume'] as const;

export type Action = (typeof ACTIONS)[number];

/** What a page says about an action once it is done. */
export type ActionOutcome =
  'refreshed' | 'started' | 'cancelled' | 'nothing' | 'paused' | 'resumed';

/** How long a page waits for a refresh. A longer one goes on by itself. */
const PATIENCE_MS = 1_000;

export interface ActionRequest extends ViewName {
  /** Whether the views that read this one are refreshed after it. */
  withDependents: boolean;
  /** The user, for the log. */
  by: string;
}

/** The actions of the buttons. */
@Injectable()
export class DashboardActions {
  private readonly logger = new Logger('MaterializedViewsDashboard');

  constructor(@Inject(RefreshService) private readonly refreshes: RefreshService) {}

  /** @throws MaterializedViewError if it fails; for a refresh, within a second */
  async run(action: Action, request: ActionRequest): Promise<ActionOutcome> {
    const { view, dataSource, withDependents, by } = request;
    const beside = withDependents ? ' and its dependents' : '';
    this.logger.log(`${action} of ${JSON.stringify(view)}${beside} (${dataSource}), by ${by}`);
    switch (action) {
      case 'refresh':
        return this.refresh(request);
      case 'cancel':
        return (await this.refreshes.cancel(view, { dataSource })) ? 'cancelled' : 'nothing';
      case 'pause':
        await this.refreshes.pause(view, { dataSource });
        return 'paused';
      case 'resume':
        await this.refreshes.resume(view, { dataSource });
        return 'resumed';
    }
  }

  private async refresh({
    view,
    dataSource,
    withDependents,
  }: ActionRequest): Promise<ActionOutcome> {
    const refreshed: Promise<unknown> = withDependents
      ? this.refreshes.refreshMany([view], { dataSource, cascade: 'dependents' })
      : this.refreshes.refresh(view, { dataSource });
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<'started'>((resolve) => {
      timer = setTimeout(() => resolve('started'), PATIENCE_MS);
    });
    try {
      return await Promise.race([refreshed.then(() => 'refreshed' as const), patience]);
    } finally {
      clearTimeout(timer);
      // A later failure is in the log and in the view's history.
      refreshed.catch(() => undefined);
    }
  }
}
