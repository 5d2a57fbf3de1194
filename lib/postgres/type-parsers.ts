/** https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat */
const Oid = {
  bool: 16,
  int2: 21,
  int4: 23,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  int2Array: 1005,
  int4Array: 1007,
  textArray: 1009,
  jsonb: 3802,
} as const;

type Parser = (text: string) => unknown;

const toBoolean: Parser = (text) => text === 't';
const toJson: Parser = (text) => JSON.parse(text) as unknown;
const toTexts: Parser = (text) => arrayElements(text);
const toNumbers: Parser = (text) =>
  arrayElements(text).map((element) => (element === null ? null : Number(element)));

const PARSERS = new Map<number, Parser>([
  [Oid.bool, toBoolean],
  [Oid.int2, Number],
  [Oid.int4, Number],
  [Oid.oid, Number],
  [Oid.json, toJson],
  [Oid.float4, Number],
  [Oid.float8, Number],
  [Oid.int2Array, toNumbers],
  [Oid.int4Array, toNumbers],
  [Oid.textArray, toTexts],
  [Oid.jsonb, toJson],
]);

/**
 * How the library parses values; all other types stay text. It has its own parsers, because an
 * application may change pg's for the whole process. There is none for dates and times, whose text
 * depends on the session's DateStyle: times are selected as milliseconds.
 */
export const typeParsers = {
  getTypeParser: (oid: number): Parser => PARSERS.get(oid) ?? ((text) => text),
};

/** https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO, for one dimension. */
function arrayElements(text: string): (string | null)[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|[^,{}]+/gs)].map(([element, quoted]) => {
    if (quoted !== undefined) {
      return quoted.replaceAll(/\\(.)/gs, '$1');
    }
    return element === 'NULL' ? null : element;
  });
}
