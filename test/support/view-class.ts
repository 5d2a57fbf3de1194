import { Index, PrimaryColumn, ViewColumn } from 'typeorm';
import {
  MaterializedViewEntity,
  type MaterializedViewEntityOptions,
  PlainViewEntity,
  type PlainViewEntityOptions,
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

export interface TestPlainView extends PlainViewEntityOptions {
  expression: string;
  columns?: string[];
  /** The properties by which the repository knows a row. */
  key?: string[];
}

/** The same of a plain view. */
export function plainViewClass({
  columns = ['id'],
  key = [],
  ...options
}: TestPlainView): new () => Record<string, unknown> {
  const View = class {};
  Object.defineProperty(View, 'name', { value: `View of ${options.name}` });
  columns.forEach((column) =>
    (key.includes(column) ? PrimaryColumn({ type: 'int' }) : ViewColumn())(View.prototype, column),
  );
  PlainViewEntity(options)(View);
  return View as new () => Record<string, unknown>;
}
