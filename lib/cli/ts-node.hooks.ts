import type { InitializeHook, LoadHook, ResolveHook } from 'node:module';

/** What `ts-node/esm` exports. */
interface TsNodeHooks {
  resolve: ResolveHook;
  load: LoadHook;
}

/** These hooks see ts-node's own files too, while it is loaded. */
let tsNode: TsNodeHooks = {
  resolve: (specifier, context, nextResolve) => nextResolve(specifier, context),
  load: (url, context, nextLoad) => nextLoad(url, context),
};

export const initialize: InitializeHook<string> = async (url) => {
  tsNode = (await import(url)) as TsNodeHooks;
};

/**
 * Packages are resolved by Node: ts-node resolves them by rules older than `"./*.js"` in `exports`, which
 * Nest 12 has, and finds no such file.
 */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  const isPackage = !/^(\.{0,2}\/|[a-z]+:)/.test(specifier);
  const resolved = isPackage
    ? await Promise.resolve(nextResolve(specifier, context)).catch(() => undefined)
    : undefined;
  return resolved ?? tsNode.resolve(specifier, context, nextResolve);
};

export const load: LoadHook = (url, context, nextLoad) => tsNode.load(url, context, nextLoad);
