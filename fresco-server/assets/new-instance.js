// A further instance: whether its name can be had.
import { availability } from "./availability.js";

const field = document.getElementById("subdomain"), name = availability(field);
if (field.value && !document.getElementById("subdomain-wrong")) name.look();
