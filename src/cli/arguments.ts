/**
 * @file The command line.
 */
import { parseArgs } from 'node:util';

export const mainUsage = `Usage: metricstor [command] [--config file]

Commands:
  serve              run the server (the default)
  check-config       say what is wrong with the configuration, or that nothing is
  config-reference   print the reference of all keys, as Markdown
  auth <verb>        secrets for the file of identities: key, password
  tsdb <verb>        tools over data directories: ls, verify, analyze, dump, import, export,
                     backup, restore; tsdb --help says more
  version            print the version

Options:
  -c, --config file  read this YAML file; METRICSTOR_CONFIG names it otherwise
  -h, --help         print this text
      --version      print the version

Exit codes: 0 fine, 1 failed while running, 2 wrong usage or configuration.
`;

export type CommandName = 'serve' | 'check-config' | 'config-reference' | 'version' | 'help';

const commands: readonly string[] = [
  'serve',
  'check-config',
  'config-reference',
  'version',
  'help',
];

export interface Arguments {
  readonly command: CommandName;
  readonly configFile: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The command line cannot be understood. */
export class UsageError extends Error {
  /** `usage` is what to show instead. */
  constructor(
    message: string,
    readonly usage = mainUsage,
  ) {
    super(message);
  }
}

/** Reads the command line. Throws {@link UsageError}. */
export function parseArguments(parameters: readonly string[], environment: Environment): Arguments {
  const { values, positionals } = parse(parameters);
  const configFile = values.config ?? environment.METRICSTOR_CONFIG;
  if (values.help === true) {
    return { command: 'help', configFile };
  }
  if (values.version === true) {
    return { command: 'version', configFile };
  }
  const [command = 'serve', extra] = positionals;
  if (!isCommand(command)) {
    throw new UsageError(`no such command: ${command}`);
  }
  if (extra !== undefined) {
    throw new UsageError(`unexpected argument: ${extra}`);
  }
  return { command, configFile };
}

function parse(parameters: readonly string[]) {
  try {
    return parseArgs({
      args: [...parameters],
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function isCommand(text: string): text is CommandName {
  return commands.includes(text);
}
