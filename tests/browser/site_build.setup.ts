// Builds the page twice, once before all tests that put it on static hosts.
import { test } from '@playwright/test';
import { buildDeploys } from './site';

test('build two deploys of the page', buildDeploys);
