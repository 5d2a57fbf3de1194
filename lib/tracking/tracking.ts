import type { DataSourceContext } from '../definition/data-source.context.js';
import { ChangeLogKeeper } from './change-log.keeper.js';
import { CaptureKeeper } from './capture.keeper.js';

/** Keeps the tracking of changes in order in the background. */
export class Tracking {
  readonly captures: CaptureKeeper;
  readonly changeLog: ChangeLogKeeper;

  constructor(context: DataSourceContext) {
    this.captures = new CaptureKeeper(context);
    this.changeLog = new ChangeLogKeeper(context);
  }
}
