import type { ViewDefinition } from '../definition/view-definition.js';
import { splitParameter } from '../postgres/view-ddl.sql.js';

type Storage = Pick<ViewDefinition, 'kind' | 'storage' | 'accessMethod'>;

/**
 * VACUUM would lock a view that has shrunk against its readers, to give pages back that the next refresh takes again.
 * Standbys replay that lock, and their readers cannot hold it off.
 */
const HEAP_DEFAULTS = { vacuum_truncate: false };

/**
 * The parameters that a view gets where the library makes or alters it, as the catalog has them. Those of a materialized
 * view are declared all together, those of a plain one by themselves: it keeps what is not declared.
 *
 * @param deployed what it has; needed only for a plain view
 */
export function storageOf(view: Storage, deployed: readonly string[] = []): string[] {
  return view.kind.storesRows
    ? written({ ...defaultsOf(view), ...view.storage })
    : viewParameters(view, deployed);
}

function viewParameters({ storage = {} }: Storage, deployed: readonly string[]): string[] {
  const set = Object.entries(storage).filter(([, value]) => value !== false);
  return [
    ...deployed.filter((each) => !Object.hasOwn(storage, nameOf(each))),
    ...written(Object.fromEntries(set)),
  ];
}

/** The names of those that are declared, or come by default. */
export function storageNames(view: Storage): string[] {
  return view.kind.storesRows ? storageOf(view).map(nameOf) : Object.keys(view.storage ?? {});
}

/** Whether a view that declares parameters has others. Those by default may be there or not. */
export function storageDiffers(view: Storage, deployed: readonly string[]): boolean {
  if (view.storage === undefined) {
    return false;
  }
  const all = storageOf(view, deployed);
  const wanted = view.kind.storesRows ? [written(view.storage), all] : [all];
  return !wanted.some((each) => haveSame(each, deployed));
}

/** The names of the deployed storage parameters that the library would not give the view. */
export function undeclaredStorage(view: Storage, deployed: readonly string[]): string[] {
  const names = storageOf(view, deployed).map(nameOf);
  return deployed.map(nameOf).filter((name) => !names.includes(name));
}

/** Other access methods may refuse the parameters of heaps. */
function defaultsOf({ accessMethod = 'heap' }: Storage): Record<string, boolean> {
  return accessMethod === 'heap' ? HEAP_DEFAULTS : {};
}

function written(storage: NonNullable<Storage['storage']>): string[] {
  return Object.entries(storage).map(([name, value]) => `${name}=${String(value)}`);
}

function haveSame(wanted: readonly string[], deployed: readonly string[]): boolean {
  return wanted.length === deployed.length && wanted.every((each) => deployed.includes(each));
}

function nameOf(parameter: string): string {
  return splitParameter(parameter)[0];
}
