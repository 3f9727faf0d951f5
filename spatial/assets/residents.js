"use strict";
// The residents' page.
page.start();
