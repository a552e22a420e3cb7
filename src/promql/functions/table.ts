/**
 * @file Every function and its implementation. The types are in `signatures.ts`, which the checker
 * needs without the evaluator.
 */
import { absentFunctions } from './absent.js';
import { histogramFunctions } from './histogram.js';
import type { Implementation } from './implementation.js';
import { infoFunctions } from './info.js';
import { labelFunctions } from './label.js';
import { mathFunctions } from './math.js';
import { rangeFunctions } from './range.js';
import type { FunctionName } from './signatures.js';
import { timeFunctions } from './time.js';
import { vectorFunctions } from './vector.js';

/** A function that is typed but not here fails to compile. */
const implementations: Readonly<Record<FunctionName, Implementation>> = {
  ...absentFunctions,
  ...histogramFunctions,
  ...infoFunctions,
  ...labelFunctions,
  ...mathFunctions,
  ...rangeFunctions,
  ...timeFunctions,
  ...vectorFunctions,
};

const byName: Readonly<Record<string, Implementation>> = implementations;

export function implementationOf(name: string): Implementation {
  const implementation = byName[name];
  if (implementation === undefined) {
    throw new RangeError(`function ${name} has no implementation`);
  }
  return implementation;
}
