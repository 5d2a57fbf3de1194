import { HEAP_PARAMETERS, VIEW_PARAMETERS } from './storage-parameters.sql.js';

/** The kind of a managed relation: it decides how the relation is created, compared and dropped. */
export interface ViewKind {
  /** pg_class.relkind. */
  readonly relkind: 'm' | 'v';
  /** Its name in statements. */
  readonly keyword: 'MATERIALIZED VIEW' | 'VIEW';
  /** Its name in messages. */
  readonly noun: 'materialized view' | 'view';
  /** Whether it stores rows, which a refresh computes, and so has indexes, statistics and storage. */
  readonly storesRows: boolean;
  /** The parameters that it accepts in WITH. */
  readonly parameters: readonly string[];
}

export const MATERIALIZED: ViewKind = {
  relkind: 'm',
  keyword: 'MATERIALIZED VIEW',
  noun: 'materialized view',
  storesRows: true,
  parameters: HEAP_PARAMETERS,
};

export const PLAIN: ViewKind = {
  relkind: 'v',
  keyword: 'VIEW',
  noun: 'view',
  storesRows: false,
  parameters: VIEW_PARAMETERS,
};

const KINDS: readonly ViewKind[] = [MATERIALIZED, PLAIN];

/** The kind of a relation by its pg_class.relkind; `undefined` if it isn't a view. */
export function viewKindOf(relkind: string | null | undefined): ViewKind | undefined {
  return KINDS.find((kind) => kind.relkind === relkind);
}

/** Which of the two kinds it is. */
export function describeKind(kind: ViewKind): string {
  return kind.storesRows ? kind.noun : `plain ${kind.noun}`;
}

/** A noun at the beginning of a sentence. */
export function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** An SQL condition: a relation is a view of any kind. */
export function isView(relkind: string): string {
  return `${relkind} IN (${KINDS.map((kind) => `'${kind.relkind}'`).join(', ')})`;
}
