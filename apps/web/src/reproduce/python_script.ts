// A program as a Python script, with its files as arguments.
import type { Program, ProgramFile } from './program';
import { commentText, pythonString } from './python_text';

export function pythonScript({ title, facts, imports, files, parts }: Program): string {
  const head = [title, ...facts].map((line) => `# ${commentText(line)}`);
  const [own, ...others] = splitImports(imports);
  return [
    ...head,
    '#',
    `# python this_file.py ${files.map(({ variable, preset }) => (preset === null ? variable.toUpperCase() : `[${variable.toUpperCase()}]`)).join(' ')}`,
    ...own,
    'import sys',
    ...others,
    '',
    ...fileLines(files),
    ...parts.flatMap(({ title: heading, lines }) => ['', `# ${commentText(heading)}`, ...lines]),
    '',
  ].join('\n');
}

/** Part imports of Python's own modules from those of packages. */
function splitImports(imports: readonly string[]): [string[], ...string[]] {
  const gap = imports.indexOf('');
  return gap < 0 ? [[], '', ...imports] : [imports.slice(0, gap), '', ...imports.slice(gap + 1)];
}

function fileLines(files: readonly ProgramFile[]): string[] {
  const required = files.filter(({ preset }) => preset === null).length;
  const asked = files.map(({ what }) => what).join(', then ');
  return [
    ...(required === 0
      ? []
      : [
          // A preset before a file that must be given has to be given with it.
          `if len(sys.argv) != ${files.length + 1}:`,
          `    sys.exit(${pythonString(`give ${asked}`)})`,
        ]),
    ...files.map(({ variable, preset }, at) =>
      preset === null
        ? `${variable} = sys.argv[${at + 1}]`
        : `${variable} = sys.argv[${at + 1}] if len(sys.argv) > ${at + 1} else ${pythonString(preset)}`,
    ),
  ];
}
