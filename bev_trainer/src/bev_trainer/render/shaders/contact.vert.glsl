#include pose.glsl
in vec2 in_corner;    // -1..1
in vec4 place;
in vec4 size;
out vec2 f_place;     // metres from the middle, footprint's axes
out vec3 f_local;
flat out vec3 f_half; // half length and width of the footprint, reach
void main() {
    float reach = 0.25 + 0.22 * min(size.z, 2.0);
    vec2 half_size = 0.5 * size.xy;
    vec2 p = in_corner * (half_size + reach);
    vec3 local = turned(vec3(p, 0.0), place.zw) + vec3(place.xy, 0.0);
    gl_Position = clip_T_local * vec4(local, 1.0);
    gl_Position.z -= 0.0002 * gl_Position.w;
    f_local = local;
    f_place = p;
    f_half = vec3(half_size, reach);
}
