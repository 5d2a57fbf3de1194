/** Removes secrets from texts. */
export type Hide = (text: string) => string;

interface Connection {
  url?: unknown;
  password?: unknown;
}

/**
 * Hides the passwords in URLs, and those of a data source anywhere.
 *
 * @param options the data source's options, as far as known
 */
export function passwordHider(options: object = {}): Hide {
  const { replication } = options as {
    replication?: { master?: Connection; slaves?: Connection[] };
  };
  const connections = [options, replication?.master, ...(replication?.slaves ?? [])];
  const secrets = connections.flatMap((each) => passwordsOf(each ?? {}));
  return (text) =>
    secrets.reduce(
      (hidden, secret) => hidden.replaceAll(secret, '***'),
      text
        // Up to the last @, as one in a password should be escaped, but often is not.
        .replaceAll(/(\w+:\/\/[^\s:@/]*:)\S+@/g, '$1***@')
        .replaceAll(/([?&]password=)[^\s&]+/g, '$1***'),
    );
}

/** A password that is part of usual words would hide these. */
const SHORT = 4;

function passwordsOf({ url, password }: Connection): string[] {
  const inUrl = typeof url === 'string' && URL.canParse(url) ? new URL(url).password : '';
  return [password, inUrl, decoded(inUrl)].filter(
    (each): each is string => typeof each === 'string' && each.length >= SHORT,
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
