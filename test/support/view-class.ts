import { Index, ViewColumn } from 'typeorm';
import {
  MaterializedViewEntity,
  type MaterializedViewEntityOptions,
  type ViewClass,
} from '../../lib/index.js';

/** For views that have ticks which no test lives to see. */
export const YEARLY = '0 0 1 1 *';

export interface TestView extends MaterializedViewEntityOptions {
  expression: string;
  columns?: string[];
  /** The properties of a unique index `<name>_key`. */
  key?: string[];
}

/** A decorated class as a release of an application has it: the next one may have another of the same view. */
export function viewClass({ columns = ['id'], key = [], ...options }: TestView): ViewClass {
  const View = class {};
  // Of one name for all releases of a view, as in an application.
  Object.defineProperty(View, 'name', { value: `View of ${options.name}` });
  columns.forEach((column) => ViewColumn()(View.prototype, column));
  if (key.length > 0) {
    Index(`${options.name}_key`, key, { unique: true })(View);
  }
  MaterializedViewEntity(options)(View);
  return View;
}
