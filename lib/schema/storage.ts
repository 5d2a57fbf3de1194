import type { ViewDefinition } from '../definition/view-definition.js';
import { splitParameter } from '../postgres/view-ddl.sql.js';

type Storage = Pick<ViewDefinition, 'kind' | 'storage' | 'accessMethod'>;

/**
 * VACUUM would lock a view that has shrunk against readers, to return pages that the next refresh needs again.
 * Standbys replay that lock, and their readers can't delay it.
 */
const HEAP_DEFAULTS = { vacuum_truncate: false };

/**
 * The parameters that a view gets when the library creates or alters it, as the catalog has them. A materialized view
 * declares all of them together; a plain view declares single ones and keeps those that it doesn't declare.
 *
 * @param deployed its present parameters; needed only for a plain view
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

/** The names of the declared and the default ones. */
export function storageNames(view: Storage): string[] {
  return view.kind.storesRows ? storageOf(view).map(nameOf) : Object.keys(view.storage ?? {});
}

/** The names of those that a new view has by its declaration: a plain view has none that is declared as false. */
export function givenStorageNames(view: Storage): string[] {
  return storageOf(view).map(nameOf);
}

/** Whether a view that declares parameters has others. The default ones may exist or not. */
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

/** Other access methods may refuse the parameters of heap tables. */
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
