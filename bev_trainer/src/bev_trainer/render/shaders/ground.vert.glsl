in vec2 in_corner;  // world
void main() {
    gl_Position = clip_T_local * vec4(in_corner - origin.xy, 0.0, 1.0);
}
